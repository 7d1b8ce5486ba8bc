"""Memory that a crowd of connections took: given back to the system when they have left.

glibc keeps what is freed for what comes next, so it is asked for the pages once a crowd is gone. Python's own
allocator would hold them all the same: the edge is started without it, by PYTHONMALLOC=malloc.
"""

import asyncio
import ctypes

CROWD = 1_000  # connections that have left since there were most
AFTER_S = 1.0  # they leave in a row, and what they held is freed a moment later


class Ebb:
    """Looks at how many connections are open, and trims the memory when many have left."""

    def __init__(self) -> None:
        self._most = 0
        self._waiting: asyncio.TimerHandle | None = None

    def saw(self, connections: int) -> None:
        """Tells how many are open now."""
        self._most = max(self._most, connections)
        if self._most - connections < CROWD:
            return
        self._most = connections
        if self._waiting:
            self._waiting.cancel()
        loop = asyncio.get_running_loop()
        self._waiting = loop.call_later(AFTER_S, loop.run_in_executor, None, trim)


def trim() -> None:
    """Gives free pages back, where the C library can do so."""
    if malloc_trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        malloc_trim(0)
