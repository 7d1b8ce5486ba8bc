"""Memory that a crowd of connections took: given back to the system when they have left.

glibc keeps what is freed for what comes next, so it is asked for the pages once a crowd is gone. Python's own
allocator would hold them all the same: the edge is started without it, by PYTHONMALLOC=malloc.
"""

import asyncio
import ctypes

CROWD = 250  # connections that have left since it was last asked
AFTER_S = 1.0  # they leave in a row, and what they held is freed a moment later


class Ebb:
    """Counts connections that leave, and trims the memory when they were many."""

    def __init__(self) -> None:
        self._left = 0
        self._waiting = False

    def left(self) -> None:
        """Tells that one has left."""
        self._left += 1
        if self._left >= CROWD and not self._waiting:
            self._waiting = True
            asyncio.get_running_loop().call_later(AFTER_S, self._trim)

    def _trim(self) -> None:
        self._left, self._waiting = 0, False
        asyncio.get_running_loop().run_in_executor(None, trim)


def trim() -> None:
    """Gives free pages back, where the C library can do so."""
    if malloc_trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        malloc_trim(0)
