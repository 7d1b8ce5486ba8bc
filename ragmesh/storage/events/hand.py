"""What a consumer has in its hands of one Kafka partition: which event comes next, and how far it may commit.

hand = Hand()
hand.take(offset=7, key="a", item=record)   # True: deliver it now; False: another event of its key comes first
hand.settle(7)                              # the next item of the key "a", or None
hand.committable                            # 8: everything before it is settled
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(slots=True)
class Hand(Generic[Item]):
    """The events of a partition between the last offset that is committed and the last that was fetched."""

    _unsettled: dict[int, str] = field(default_factory=dict[int, str])  # offset to key, in the order of offsets
    _waiting: dict[str, deque[Item]] = field(default_factory=dict[str, "deque[Item]"])  # behind one of their key
    _next: int | None = None  # the offset after the last one that was taken

    def __len__(self) -> int:
        return len(self._unsettled)

    def take(self, offset: int, key: str, item: Item) -> bool:
        """Takes an event over; offsets come in order. Returns whether it is to be delivered now."""
        self._unsettled[offset] = key
        self._next = offset + 1
        if key in self._waiting:
            self._waiting[key].append(item)
            return False
        self._waiting[key] = deque()
        return True

    def settle(self, offset: int) -> Item | None:
        """An event is dealt with. Returns the one that waited behind it; again is no harm."""
        key = self._unsettled.pop(offset, None)
        if key is None:
            return None
        if self._waiting[key]:
            return self._waiting[key].popleft()
        del self._waiting[key]
        return None

    @property
    def committable(self) -> int | None:
        """The offset before which everything is settled; None where nothing was taken yet."""
        return next(iter(self._unsettled), self._next)
