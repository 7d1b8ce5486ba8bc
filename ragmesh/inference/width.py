"""How many requests a model is given at once, found while it works.

As TCP Vegas finds its window (Brakmo and Peterson, "TCP Vegas: End to End Congestion Avoidance on a Global
Internet", 1995): from how much longer requests take than when few are under way follows how many of them wait. A
CPU that does one after the other is given two or three; a GPU that does many in one batch, as many as it takes
without a queue. Now and then it begins anew with few, since what is asked changes.
"""

from dataclasses import dataclass, field

WAITING_MIN, WAITING_MAX = 0.4, 0.9  # requests that wait: with fewer it is given one more, with more one less
SMOOTHING = 0.1  # of the usual time, weight of the newest
FIRST = 50  # requests at the least width, whose mean is what a request takes without a queue
ANEW = 2_000  # requests


@dataclass(slots=True)
class Width:
    """Between `least` and `most` requests at once."""

    least: int
    most: int
    now: int = field(init=False)
    _requests: int = field(default=0, init=False)
    _alone_s: float = field(default=0.0, init=False)
    _usual_s: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self.now = self.least

    def took(self, seconds: float) -> int:
        """Tells how long a request took; returns by how much the width changes for it."""
        self._requests += 1
        if self._requests <= FIRST:
            self._alone_s += seconds / FIRST
            self._usual_s = self._alone_s
            return 0
        if self._requests >= ANEW:
            return self._begin_anew()
        self._usual_s += (seconds - self._usual_s) * SMOOTHING
        waiting = self.now * (1 - self._alone_s / max(self._usual_s, self._alone_s))
        wider = waiting < WAITING_MIN and self.now < self.most
        narrower = waiting > WAITING_MAX and self.now > self.least
        self.now += wider - narrower
        return wider - narrower

    def _begin_anew(self) -> int:
        change = self.least - self.now
        self.now, self._requests, self._alone_s = self.least, 0, 0.0
        return change
