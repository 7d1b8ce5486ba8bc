"""What was found out a moment ago, and is believed for a while."""

import time
from collections import OrderedDict
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Found = TypeVar("Found")


class Believed(Generic[Asked, Found]):
    """At most `most` of them; those that were not asked about for longest go first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[Asked, tuple[Found, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, asked: Asked) -> Found | None:
        """What was found, if that is not too long ago."""
        kept = self._kept.get(asked)
        if kept is None:
            return None
        found, until = kept
        if until <= time.monotonic():
            del self._kept[asked]
            return None
        self._kept.move_to_end(asked)
        return found

    def keep(self, asked: Asked, found: Found, for_s: float) -> None:
        """Believes it for so long."""
        self._kept[asked] = found, time.monotonic() + for_s
        self._kept.move_to_end(asked)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def shorten(self, asked: Asked, for_s: float) -> None:
        """Believes it for no longer than that."""
        if kept := self._kept.get(asked):
            found, until = kept
            self._kept[asked] = found, min(until, time.monotonic() + for_s)

    def forget(self, asked: Asked) -> None:
        """Asks again next time."""
        self._kept.pop(asked, None)
