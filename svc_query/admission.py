"""How much work is taken on: as much as is done in time. What would be late is refused at once.

    with searches.admitted():
        found = await retriever.retrieve(search)

Both limits are learnt from what is measured, so that nobody has to know how fast the machines and the models are.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil

from prometheus_client import Counter, Gauge

from ragmesh.errors import DeadlineExceeded, ResourceExhausted

LIMIT = Gauge("ragmesh_search_limit", "Searches that this process takes on at once at present")
FIRST_TOKEN_PREDICTED = Gauge(
    "ragmesh_first_token_predicted_seconds", "How long the next answer would wait to begin"
)
REFUSED = Counter("ragmesh_refused_total", "Calls that were refused because they would have been late", ["call"])

WINDOW_S, WINDOW_MAX_S = 1.0, 5.0  # it ends between these, as soon as enough was seen
SAMPLES_MIN = 8  # of a window from which the limit is changed
FELT = 0.8  # share of the limit that was used, from which on it is raised
RAISE, LOWER = 1.1, 0.8
LIMIT_FIRST, LIMIT_MIN = 64, SAMPLES_MIN  # with fewer at once, nothing would be learnt for too long
SMOOTHING = 0.3  # weight of the newest of measured paces
RETRY_MIN_S, RETRY_MAX_S = 0.1, 30.0


@dataclass(slots=True)
class _Window:
    """What was seen in a short while."""

    began: float
    seconds: list[float] = field(default_factory=list[float])
    in_flight_max: int = 0
    timed_out: bool = False  # somebody's own deadline was too short

    @property
    def p90_s(self) -> float:
        """What nine in ten took at most, 0 for none."""
        return sorted(self.seconds)[ceil(0.9 * len(self.seconds)) - 1] if self.seconds else 0.0

    @property
    def tells(self) -> bool:
        """Whether so much was seen that a conclusion may be drawn from it."""
        return len(self.seconds) >= SAMPLES_MIN


class Searches:
    """As many searches at once as are answered within a target, nine in ten of them.

    Raised a little as long as the target is met, lowered by much when it is missed (after Chiu and Jain, 1989).
    """

    def __init__(
        self, target_s: Callable[[], float], most: Callable[[], int], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`most` bounds the limit, whatever is measured."""
        self._target_s = target_s
        self._most = most
        self._clock = clock
        self._in_flight = 0
        self._limit = float(LIMIT_FIRST)
        self._p90_s = 0.0
        self._window = _Window(clock())
        LIMIT.set_function(lambda: self.limit)

    @property
    def limit(self) -> int:
        """How many are taken on at once."""
        return max(1, min(int(self._limit), self._most()))

    @property
    def pressure(self) -> float:
        """How close searches come to their target: 0 for idle, 1 for all that can be done in time."""
        self._turn()
        return self._p90_s / self._target_s()

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Counts and times a search. Raises ResourceExhausted where it would be one too many."""
        self._turn()
        if self._in_flight >= self.limit:
            REFUSED.labels("search").inc()
            raise ResourceExhausted(
                f"{self.limit} searches are under way, which is as many as are answered in time at present",
                retry_after_s=WINDOW_S,  # by then the limit has been judged anew
            )
        self._in_flight += 1
        self._window.in_flight_max = max(self._window.in_flight_max, self._in_flight)
        began = self._clock()
        try:
            yield
        except (DeadlineExceeded, asyncio.CancelledError) as error:
            self._window.timed_out |= isinstance(error, DeadlineExceeded)
            self._note_left(self._clock() - began)
            raise
        else:
            self._window.seconds.append(self._clock() - began)
        finally:
            self._in_flight -= 1

    def _note_left(self, seconds: float) -> None:
        """Who gave up before the target was missed does not show that it would have been met."""
        if seconds > self._target_s():
            self._window.seconds.append(seconds)

    def _turn(self) -> None:
        """Draws the conclusion from a window that is over."""
        if not self._is_over():
            return
        seen, self._window = self._window, _Window(self._clock(), in_flight_max=self._in_flight)
        self._p90_s = seen.p90_s
        if not seen.tells:
            return
        if self._p90_s > self._target_s():
            self._limit = max(LIMIT_MIN, self._limit * LOWER)
        elif seen.in_flight_max >= FELT * self.limit and not seen.timed_out:
            self._limit = min(self._most(), self._limit * RAISE + 1)

    def _is_over(self) -> bool:
        age_s = self._clock() - self._window.began
        says_more = self._in_flight and not self._window.tells
        return age_s >= (WINDOW_MAX_S if says_more else WINDOW_S)


class FirstTokens:
    """Predicts how long the next answer waits for its first token.

    That is what an answer takes alone, and for each that waits before it the pace at which first tokens come while
    others wait. The pace tells of the model's slots and batches what need not be known.
    """

    def __init__(self, target_s: Callable[[], float], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._target_s = target_s
        self._clock = clock
        self._waiting = 0
        self._alone_s = 0.0  # from the beginning of an answer before which nobody waited
        self._pace_s = 0.0
        self._since = 0.0  # the last first token, or when somebody began to wait
        self._is_queue = False  # somebody has been waiting ever since the last first token
        FIRST_TOKEN_PREDICTED.set_function(lambda: self.predicted_s)

    @property
    def predicted_s(self) -> float:
        """Until the first token of an answer that would be begun now; not less than others have waited already."""
        stalled_s = self._clock() - self._since if self._waiting else 0.0
        return max(self._alone_s + self._waiting * self._pace_s, stalled_s)

    @property
    def pressure(self) -> float:
        """How close answers come to their target: 0 for nobody waits, 1 for all that can be begun in time."""
        return self.predicted_s / self._target_s() if self._waiting else 0.0

    def admit(self) -> None:
        """Raises ResourceExhausted for an answer that would begin too late.

        The first to wait is let in whatever was measured before, so that a bad measure heals; and a target that not
        even a lone answer meets is taken for twice what that one takes.
        """
        target_s, predicted_s = max(self._target_s(), 2 * self._alone_s), self.predicted_s
        if self._waiting and predicted_s > target_s:
            REFUSED.labels("answer").inc()
            raise ResourceExhausted(
                f"the first word would come after {predicted_s:.1f} s, which is to be {target_s:g} s at most",
                retry_after_s=min(max(predicted_s - target_s, RETRY_MIN_S), RETRY_MAX_S),
            )

    @contextmanager
    def awaited(self) -> Iterator[Callable[[], None]]:
        """Counts an answer as waiting, until the function is called that it gives, or the block is left."""
        began, waits, is_alone = self._clock(), True, not self._waiting
        if is_alone:
            self._since = began
        self._waiting += 1

        def came() -> None:
            nonlocal waits
            if not waits:
                return
            waits, now = False, self._clock()
            if is_alone:
                self._alone_s = _smoothed(self._alone_s, now - began)
            elif self._is_queue:
                self._pace_s = _smoothed(self._pace_s, now - self._since)
            self._leave()
            self._since, self._is_queue = now, self._waiting > 0

        try:
            yield came
        finally:
            if waits:
                self._leave()

    def _leave(self) -> None:
        self._waiting -= 1
        if not self._waiting:
            self._is_queue = False


def _smoothed(old: float, new: float) -> float:
    return old + (new - old) * SMOOTHING if old else new
