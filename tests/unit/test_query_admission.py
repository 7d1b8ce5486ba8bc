"""What is taken on is done in time; more is refused at once, with a time to come back."""

import asyncio
from contextlib import ExitStack, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragmesh.errors import DeadlineExceeded, ResourceExhausted, Unavailable
from svc_query.admission import LIMIT_FIRST, LIMIT_MIN, WINDOW_S, FirstTokens, Searches


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

    assert machine.searches.limit < 10
    assert machine.searches.pressure > 1


def test_a_limit_that_sank_rises_again_once_searches_are_in_time():
    machine = Machine(target_s=1.0)
    for _ in range(40):
        machine.round(60, 3.0)

    rounds = next(number for number in range(60) if machine.round(30, 0.2) == 0)

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
        (DeadlineExceeded("late"), 0.5, True),
        (asyncio.CancelledError(), 1.5, True),
        (asyncio.CancelledError(), 0.5, False),
        (Unavailable("away"), 1.5, False),
    ],
    ids=["out of time", "left late", "left early", "broken"],
)
def test_a_search_that_ended_otherwise_counts_where_it_tells_of_lateness(error, took_s, is_pressed):
    machine = Machine(target_s=1.0)
    with suppress(type(error)), machine.searches.admitted():
        machine.clock.now += took_s
        raise error
    machine.clock.now += WINDOW_S

    assert (machine.searches.pressure > 0) is is_pressed


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
        for _ in range(LIMIT_MIN):
            under_way.enter_context(machine.searches.admitted())


def first_tokens(*, target_s: float) -> tuple[FirstTokens, Clock]:
    clock = Clock()
    return FirstTokens(lambda: target_s, clock=clock), clock


def test_the_first_token_is_predicted_from_who_waits_and_how_fast_they_are_served():
    answers, clock = first_tokens(target_s=10)

    with answers.awaited() as came:
        clock.now += 2.0
        came()
        with answers.awaited(), answers.awaited():
            assert answers.predicted_s == pytest.approx(6.0)
            assert answers.pressure == pytest.approx(0.6)
            answers.admit()

    assert answers.pressure == 0


def test_an_answer_that_would_begin_too_late_is_refused_until_others_have_begun():
    answers, clock = first_tokens(target_s=5)
    with ExitStack() as under_way:
        came = under_way.enter_context(answers.awaited())
        clock.now += 2.0
        came()
        waiting = [under_way.enter_context(answers.awaited()) for _ in range(2)]

        with pytest.raises(ResourceExhausted) as refused:
            answers.admit()
        clock.now += 2.0
        waiting[0]()

        answers.admit()
    assert refused.value.retry_after_s == pytest.approx(1.0)


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


def test_who_leaves_before_the_first_token_waits_no_more():
    answers, clock = first_tokens(target_s=1)
    with answers.awaited() as came:
        clock.now += 0.6
        came()
        came()

    with answers.awaited():
        pass

    assert answers.pressure == 0
    answers.admit()
