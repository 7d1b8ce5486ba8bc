"""A lane to a model: so many requests at once, and fewer in the background while others are pressed.

lane = Lane(2, pressure=lambda: 0.5)
async with lane.turn():
    ...   # one of at most two at once; then its slot rests for as long as it has worked
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

SHARE_MIN = 0.1  # of its time that a slot works, however pressed others are
REST_MAX_S = 1.0  # a slot that was held for long, by a model that hung, does not rest for minutes


def at_ease() -> float:
    """The pressure where nobody goes first."""
    return 0.0


class Lane:
    """Slots that requests take turns in."""

    def __init__(self, slots: int, pressure: Callable[[], float] = at_ease) -> None:
        """`pressure`: how hard pressed those are who go first, from 0 for idle to 1 for overloaded."""
        self._free = asyncio.Semaphore(slots)
        self._pressure = pressure

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """A slot inside the block."""
        await self._free.acquire()
        began = time.monotonic()
        try:
            yield
        finally:
            share = max(SHARE_MIN, 1 - self._pressure())
            rest_s = min(REST_MAX_S, (time.monotonic() - began) * (1 / share - 1))
            asyncio.get_running_loop().call_later(rest_s, self._free.release)
