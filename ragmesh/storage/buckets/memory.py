"""Rate limits of this process alone."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from ragmesh.storage.buckets.port import Rate, Verdict

BUCKETS_MAX = 100_000


@dataclass(frozen=True, slots=True)
class _Level:
    """How full a bucket was at a time."""

    tokens: float
    at: float


class MemoryBuckets:
    """Buckets in memory; of too many, the one that was asked for longest ago is forgotten, which fills it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._levels: OrderedDict[str, _Level] = OrderedDict()  # asked for longest ago first

    async def take(self, key: str, cost: float, rate: Rate) -> Verdict:
        """Takes `cost` out of a bucket if it holds that much, else nothing."""
        verdict = judge(self._holds(key, rate), cost, rate)
        self._leave(key, verdict.remaining)
        return verdict

    async def settle(self, key: str, cost: float, rate: Rate) -> None:
        """Takes `cost` whatever a bucket holds, so that it may owe; a cost below 0 is given back."""
        self._leave(key, min(rate.capacity, self._holds(key, rate) - cost))

    def _holds(self, key: str, rate: Rate) -> float:
        now = self._clock()
        level = self._levels.get(key, _Level(rate.capacity, now))
        return min(rate.capacity, level.tokens + (now - level.at) * rate.refill_per_s)

    def _leave(self, key: str, tokens: float) -> None:
        self._levels[key] = _Level(tokens, self._clock())
        self._levels.move_to_end(key)
        if len(self._levels) > BUCKETS_MAX:
            self._levels.popitem(last=False)


def judge(tokens: float, cost: float, rate: Rate) -> Verdict:
    """What a bucket with this many tokens says."""
    if cost <= tokens:
        return Verdict(allowed=True, remaining=tokens - cost, retry_after_s=0.0)
    wait_s = math.inf if cost > rate.capacity else (cost - tokens) / rate.refill_per_s
    return Verdict(allowed=False, remaining=tokens, retry_after_s=wait_s)
