"""Equal work in flight is done once."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from ragmesh.errors import ResourceExhausted, Unavailable
from svc_query.flight import Flights


class Work:
    """Counts to `end`, one step each time it is let, and remembers how it went."""

    def __init__(self, end: int = 3, fault: Exception | None = None) -> None:
        self.end = end
        self.fault = fault
        self.started = 0
        self.closed = asyncio.Event()
        self.steps = asyncio.Semaphore(0)

    async def __call__(self) -> AsyncGenerator[int, None]:
        self.started += 1
        try:
            for number in range(self.end):
                await self.steps.acquire()
                yield number
            if self.fault:
                raise self.fault
        finally:
            self.closed.set()

    def run(self) -> None:
        for _ in range(self.end):
            self.steps.release()


def one_at_a_time(in_flight: int) -> None:
    if in_flight:
        raise ResourceExhausted("one is flying", retry_after_s=1.0)


async def collect(flights: Flights[int], work: Work, key: str = "key") -> list[int]:
    async with aclosing(flights.join(key, work)) as events:
        return [event async for event in events]


async def test_a_flight_gives_all_its_events():
    work = Work()
    work.run()

    assert await collect(Flights(one_at_a_time), work) == [0, 1, 2]


async def test_a_follower_hears_everything_from_the_start():
    flights, work = Flights[int](one_at_a_time), Work()
    async with aclosing(flights.join("key", work)) as leader:
        work.steps.release()
        first = await anext(leader)
        async with asyncio.TaskGroup() as group:
            follower = group.create_task(collect(flights, work))
            work.run()
            rest = [event async for event in leader]

    assert [first, *rest] == follower.result() == [0, 1, 2]
    assert work.started == 1


async def test_the_work_goes_on_when_its_leader_leaves():
    flights, work = Flights[int](one_at_a_time), Work()
    leader = asyncio.create_task(collect(flights, work))
    await asyncio.sleep(0)
    follower = asyncio.create_task(collect(flights, work))
    await asyncio.sleep(0)

    leader.cancel()
    await asyncio.wait([leader])
    assert not work.closed.is_set()
    work.run()

    assert await follower == [0, 1, 2]


async def test_the_work_is_closed_when_its_last_listener_leaves():
    flights, work = Flights[int](one_at_a_time), Work()
    async with aclosing(flights.join("key", work)) as events:
        work.steps.release()
        await anext(events)

    assert work.closed.is_set()
    assert len(flights) == 0


async def test_an_error_reaches_every_listener_after_what_came_before_it():
    flights, work = Flights[int](one_at_a_time), Work(end=1, fault=Unavailable("away"))
    heard: list[list[int | str]] = [[], []]

    async def listen(into: list[int | str]) -> None:
        try:
            async with aclosing(flights.join("key", work)) as events:
                async for event in events:
                    into.append(event)  # noqa: PERF401 what came before the error counts
        except Unavailable as error:
            into.append(error.message)

    async with asyncio.TaskGroup() as group:
        group.create_task(listen(heard[0]))
        group.create_task(listen(heard[1]))
        work.run()

    assert heard == [[0, "away"], [0, "away"]]


async def test_a_failed_flight_is_not_joined_later():
    flights, failing, working = Flights[int](one_at_a_time), Work(end=0, fault=Unavailable("away")), Work(end=1)
    working.run()

    with pytest.raises(Unavailable):
        await collect(flights, failing)

    assert await collect(flights, working) == [0]


async def test_work_that_is_cancelled_from_within_is_unavailable_to_who_listens():
    async def cancelled() -> AsyncGenerator[int, None]:
        yield 0
        raise asyncio.CancelledError

    async with aclosing(Flights[int](one_at_a_time).join("key", cancelled)) as events:
        assert await anext(events) == 0
        with pytest.raises(Unavailable, match="broken off"):
            await anext(events)


async def test_a_flight_that_is_not_admitted_is_not_begun():
    flights, work = Flights[int](one_at_a_time), Work()
    async with aclosing(flights.join("key", work)) as events:
        work.steps.release()
        await anext(events)

        refused = Work()
        with pytest.raises(ResourceExhausted):
            await collect(flights, refused, key="another")

    assert refused.started == 0


async def test_an_equal_question_is_let_in_where_another_is_refused():
    flights, work = Flights[int](one_at_a_time), Work()

    async with asyncio.TaskGroup() as group:
        listeners = [group.create_task(collect(flights, work)) for _ in range(5)]
        work.run()

    assert [listener.result() for listener in listeners] == [[0, 1, 2]] * 5
