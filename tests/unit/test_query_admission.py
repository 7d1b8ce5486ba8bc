"""What is taken on is done in time; more is refused at once, with a time to come back."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragmesh.errors import DeadlineExceeded, ResourceExhausted, Unavailable
from svc_query.admission import LIMIT_FIRST, LIMIT_MIN, LOWER, WINDOW_S, FirstTokens, Searches


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Machine:
    """Answers searches of many clients at once, each after `took_s`."""

    def __init__(self, *, target_s: float = 1.0, most: int = 1000) -> None:
        self.clock = Clock()
        self.searches = Searches(lambda: target_s, lambda: most, clock=self.clock)

    def round(self, clients: int, took_s: float) -> int:
        """All search at once, again and again, for longer than a window. Returns how many were refused."""
        refused, ends = 0, self.clock.now + WINDOW_S
        while self.clock.now <= ends:
            with ExitStack() as under_way:
                for _ in range(clients):
                    try:
                        under_way.enter_context(self.searches.admitted())
                    except ResourceExhausted as error:
                        refused += bool(error.retry_after_s)
                self.clock.now += took_s
        return refused


def test_searches_in_time_are_never_refused_up_to_the_bound():
    machine = Machine(most=200)

    refused = [machine.round(clients, 0.1) for clients in range(10, 200, 5)]

    assert sum(refused) == 0
    assert machine.searches.limit == 200


def test_a_bound_holds_whatever_is_measured():
    machine = Machine(most=8)

    assert machine.round(20, 0.1) > 0
    assert machine.searches.limit == 8


def test_searches_that_come_late_are_fewer_the_next_time():
    machine = Machine(target_s=1.0)

    for _ in range(40):
        machine.round(60, 3.0)

    assert machine.searches.limit == LIMIT_MIN
    assert machine.searches.pressure > 1


def test_one_late_search_costs_little_and_a_tenth_of_them_nothing():
    machine = Machine(target_s=1.0)

    with ExitStack() as under_way:
        for _ in range(9):
            under_way.enter_context(machine.searches.admitted())
        late = ExitStack()
        late.enter_context(machine.searches.admitted())
        machine.clock.now += 0.9
        under_way.close()
        machine.clock.now += 1.1
        late.close()
    machine.round(1, 0.1)
    assert machine.searches.limit == LIMIT_FIRST

    machine.round(10, 2.0)
    machine.round(1, 0.1)
    assert machine.searches.limit == int(LIMIT_FIRST * LOWER)


@pytest.mark.parametrize("took_s", [0.05, 0.2, 0.99])
def test_a_limit_that_sank_rises_again_once_searches_are_in_time(took_s: float):
    machine = Machine(target_s=1.0)
    for _ in range(40):
        machine.round(60, 3.0)

    rounds = next(number for number in range(60) if machine.round(30, took_s) == 0)

    assert rounds > 0
    assert machine.searches.limit >= 30


def test_a_limit_that_nobody_felt_does_not_grow():
    machine = Machine()

    for _ in range(50):
        machine.round(10, 0.1)

    assert machine.searches.limit == LIMIT_FIRST


@pytest.mark.parametrize(
    ("error", "took_s", "is_pressed"),
    [
        (DeadlineExceeded("late"), 1.5, True),
        (DeadlineExceeded("in a hurry"), 0.5, False),
        (asyncio.CancelledError(), 1.5, True),
        (asyncio.CancelledError(), 0.5, False),
        (Unavailable("away"), 1.5, False),
    ],
    ids=["out of time", "its own time was short", "left late", "left early", "broken"],
)
def test_a_search_that_ended_otherwise_counts_where_it_tells_of_lateness(error, took_s, is_pressed):
    machine = Machine(target_s=1.0)
    with suppress(type(error)), machine.searches.admitted():
        machine.clock.now += took_s
        raise error
    machine.clock.now += WINDOW_S

    assert (machine.searches.pressure > 0) is is_pressed


def test_searches_that_run_out_of_their_own_time_are_no_reason_to_take_on_more():
    machine = Machine(target_s=2.0)

    for _ in range(300):
        with suppress(DeadlineExceeded), machine.searches.admitted(), ExitStack() as others:
            for _ in range(machine.searches.limit - 1):
                others.enter_context(machine.searches.admitted())
            machine.clock.now += 0.05
            raise DeadlineExceeded("in a hurry")

    assert machine.searches.limit == LIMIT_FIRST


def test_who_is_idle_is_not_pressed():
    machine = Machine(target_s=1.0)
    machine.round(60, 3.0)
    assert machine.searches.pressure > 1

    machine.clock.now += WINDOW_S

    assert machine.searches.pressure == 0


@given(st.lists(st.tuples(st.integers(1, 300), st.floats(0.2, 5)), max_size=8))
def test_the_limit_stays_within_its_bounds_and_nothing_is_left_counted(rounds: list[tuple[int, float]]):
    machine = Machine(most=150)

    for clients, took_s in rounds:
        machine.round(clients, took_s)

        assert LIMIT_MIN <= machine.searches.limit <= 150
    machine.clock.now += 2 * WINDOW_S
    with ExitStack() as under_way:
        under_way.enter_context(machine.searches.admitted())
        for _ in range(machine.searches.limit - 1):
            under_way.enter_context(machine.searches.admitted())


def first_tokens(*, target_s: float) -> tuple[FirstTokens, Clock]:
    clock = Clock()
    return FirstTokens(lambda: target_s, clock=clock), clock


def a_queue(answers: FirstTokens, clock: Clock, under_way: ExitStack, *, waiting: int) -> list[Callable[[], None]]:
    """Answers that wait, after it has been seen that one alone takes 2 s, and one in a queue 1.5 s."""
    first, second, *rest = [under_way.enter_context(answers.awaited()) for _ in range(2 + waiting)]
    clock.now += 2.0
    first()
    clock.now += 1.5
    second()
    return rest


def test_the_first_token_is_predicted_from_what_one_takes_alone_and_the_pace_of_those_who_wait():
    answers, clock = first_tokens(target_s=10)
    with ExitStack() as under_way:
        a_queue(answers, clock, under_way, waiting=2)

        assert answers.predicted_s == pytest.approx(2.0 + 2 * 1.5)
        assert answers.pressure == pytest.approx(0.5)
        answers.admit()

    assert answers.pressure == 0


def test_an_answer_that_would_begin_too_late_is_refused_until_others_have_begun():
    answers, clock = first_tokens(target_s=5.5)
    with ExitStack() as under_way:
        waiting = a_queue(answers, clock, under_way, waiting=3)

        with pytest.raises(ResourceExhausted) as refused:
            answers.admit()
        clock.now += 1.5
        waiting[0]()

        answers.admit()
    assert refused.value.retry_after_s == pytest.approx(1.0)


def test_a_model_that_writes_many_at_once_is_not_taken_for_one_that_writes_one():
    answers, clock = first_tokens(target_s=1)

    for _ in range(20):
        with answers.awaited() as came:
            answers.admit()
            with answers.awaited() as came_too:
                clock.now += 0.6
                came()
                came_too()

    assert answers.predicted_s == pytest.approx(0.6)


def test_a_model_that_says_nothing_is_given_no_more_than_it_has():
    answers, clock = first_tokens(target_s=5)

    with answers.awaited():
        answers.admit()
        clock.now += 6.0
        with pytest.raises(ResourceExhausted):
            answers.admit()

    answers.admit()


def test_a_bad_measure_heals_for_who_comes_first_is_let_in():
    answers, clock = first_tokens(target_s=1)
    with answers.awaited() as came:
        clock.now += 60.0
        came()

    for _ in range(20):
        answers.admit()
        with answers.awaited() as came:
            clock.now += 0.1
            came()

    with answers.awaited():
        answers.admit()


def test_who_leaves_before_the_first_token_waits_no_more_and_who_has_it_no_longer():
    answers, clock = first_tokens(target_s=1)
    with answers.awaited() as came:
        clock.now += 0.6
        came()
        came()
        assert answers.pressure == 0

    with answers.awaited():
        pass

    assert answers.pressure == 0
