"""Every call of the load, with its end: what a fault cost is read from here."""

import time
from collections import Counter
from dataclasses import dataclass, field

CONTENTION = "ABORTED"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a call."""

    ended: float  # monotonic
    operation: str
    error: str  # its kind; empty when it succeeded
    is_last: bool  # the call ends with this try
    detail: str = ""  # the error in the mesh's words


@dataclass(slots=True)
class Journal:
    """Attempts in the order in which they ended."""

    attempts: list[Attempt] = field(default_factory=list[Attempt])

    def add(self, operation: str, *, error: str = "", detail: str = "", is_last: bool = True) -> None:
        """Takes down a try that has just ended."""
        self.attempts.append(Attempt(time.monotonic(), operation, error, is_last, detail))

    def since(self, began: float, until: float = float("inf")) -> list[Attempt]:
        """What ended in a span of time."""
        return [attempt for attempt in self.attempts if began <= attempt.ended < until]

    def last_outage_at(self) -> float:
        """When a try failed last, but for equal uploads that met: they are not the fault's. 0 if none did."""
        outages = (each.ended for each in reversed(self.attempts) if each.error and CONTENTION not in each.error)
        return next(outages, 0.0)


def calls(attempts: list[Attempt]) -> int:
    """How many calls came to their end."""
    return sum(attempt.is_last for attempt in attempts)


def errors(attempts: list[Attempt]) -> dict[str, int]:
    """Failed tries by kind, the most frequent first."""
    return dict(Counter(attempt.error for attempt in attempts if attempt.error).most_common())


def failed(attempts: list[Attempt]) -> dict[str, int]:
    """Calls that nobody tried again, by kind, the most frequent first."""
    final = (each for each in attempts if each.error and each.is_last)
    return dict(Counter(f"{each.operation}: {each.error}" for each in final).most_common())


def told(attempts: list[Attempt], began: float) -> list[str]:
    """When the failed tries ended and what was said, for whoever looks into a run."""
    failures = (each for each in attempts if each.error)
    return [f"{each.ended - began:.2f} s {each.operation}: {each.error}: {each.detail[:200]}" for each in failures]
