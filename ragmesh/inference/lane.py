"""A lane to a model: so many requests at once, and fewer in the background while others are pressed.

lane = Lane(2, most=64, pressure=lambda: 0.5)
async with lane.turn():
    ...   # one of a few at once; then its slot rests for as long as it has worked
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from ragmesh.inference.width import Width

SHARE_MIN = 0.1  # of its time that a slot works, however pressed others are
REST_MAX_S = 1.0  # a slot that was held for long, by a model that hung, does not rest for minutes


def at_ease() -> float:
    """The pressure where nobody goes first."""
    return 0.0


class Lane:
    """Slots that requests take turns in."""

    def __init__(self, slots: int, pressure: Callable[[], float] = at_ease, *, most: int | None = None) -> None:
        """`pressure`: how hard pressed those are who go first, from 0 for idle to 1 for overloaded.

        With `most` there are more slots than `slots` where the model does more at once without a queue.
        """
        self._free = asyncio.Semaphore(slots)
        self._pressure = pressure
        self._owed = 0
        self.width = Width(slots, most or slots)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """A slot inside the block."""
        await self._free.acquire()
        began = time.monotonic()
        try:
            yield
        finally:
            took_s = time.monotonic() - began
            share = max(SHARE_MIN, 1 - self._pressure())
            rest_s = min(REST_MAX_S, took_s * (1 / share - 1))
            asyncio.get_running_loop().call_later(rest_s, self._release, 1 + self.width.took(took_s))

    def _release(self, slots: int) -> None:
        """Frees slots; where they are fewer than none, as many of the next ones are not freed."""
        slots -= self._owed
        self._owed = max(0, -slots)
        for _ in range(slots):
            self._free.release()
