"""What the edge asks of rate limits."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Rate:
    """How much may be taken: `capacity` at once, `refill_per_s` in the long run."""

    capacity: float
    refill_per_s: float  # above 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether something may happen now."""

    allowed: bool
    remaining: float  # what is left in the bucket
    retry_after_s: (
        float  # until the same will be allowed: 0 if it is now, infinite if it costs more than the capacity
    )


class Buckets(Protocol):
    """Token buckets by key, full when they are first asked for. Taking is atomic."""

    async def take(self, key: str, cost: float, rate: Rate) -> Verdict:
        """Takes `cost` out of a bucket if it holds that much, else nothing."""
        ...

    async def settle(self, key: str, cost: float, rate: Rate) -> None:
        """Takes `cost` whatever a bucket holds, so that it may owe; a cost below 0 is given back."""
        ...
