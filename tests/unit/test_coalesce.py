"""Callers share calls, and nothing else."""

import asyncio
import time
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from ragmesh.errors import InvalidArgument, Unavailable
from svc_query.coalesce import Coalescer

SETTLE = 5  # turns of the loop that let every task get where it can


class Doubler:
    """Doubles numbers when it is let; remembers its batches."""

    def __init__(self, *, open_gate: bool = True) -> None:
        self.batches: list[tuple[str, list[int]]] = []
        self.cancelled = 0
        self.gate = asyncio.Event()
        if open_gate:
            self.gate.set()

    async def __call__(self, key: str, items: Sequence[int]) -> list[int]:
        self.batches.append((key, list(items)))
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if any(item < 0 for item in items):
            raise InvalidArgument("negative")
        if 666 in items:
            raise Unavailable("away")
        return [item * 2 for item in items]


async def settle() -> None:
    for _ in range(SETTLE):
        await asyncio.sleep(0)


async def test_an_idle_call_goes_alone_and_what_arrives_meanwhile_goes_together():
    doubler = Doubler(open_gate=False)
    async with Coalescer("test", doubler) as double:
        first = asyncio.create_task(double("a", 1))
        await settle()
        others = [asyncio.create_task(double("a", n)) for n in (2, 3, 4)]
        await settle()
        doubler.gate.set()

        assert await asyncio.gather(first, *others) == [2, 4, 6, 8]
    assert doubler.batches == [("a", [1]), ("a", [2, 3, 4])]


async def test_a_caller_is_told_how_long_it_waited_for_its_call_to_begin():
    doubler = Doubler(open_gate=False)
    async with Coalescer("test", doubler) as double:
        first = asyncio.create_task(double.timed("a", 1))
        await settle()
        second = asyncio.create_task(double.timed("a", 2))
        began = time.perf_counter()
        await settle()
        held_s = time.perf_counter() - began
        doubler.gate.set()
        early, late = await asyncio.gather(first, second)

    assert (early.answer, late.answer) == (2, 4)
    assert late.waited_s >= held_s > early.waited_s


async def test_keys_do_not_wait_for_each_other():
    doubler = Doubler(open_gate=False)
    async with Coalescer("test", doubler) as double:
        tasks = [asyncio.create_task(double(key, 1)) for key in "ab"]
        await settle()

        assert doubler.batches == [("a", [1]), ("b", [1])]
        doubler.gate.set()
        await asyncio.gather(*tasks)


async def test_batches_are_bounded():
    doubler = Doubler()
    async with Coalescer("test", doubler, batch_max=3) as double:
        assert await asyncio.gather(*(double("a", n) for n in range(8))) == [n * 2 for n in range(8)]
    assert [len(items) for _, items in doubler.batches] == [3, 3, 2]


async def test_a_caller_who_leaves_takes_nobody_along():
    doubler = Doubler(open_gate=False)
    async with Coalescer("test", doubler) as double:
        stays, leaves = (asyncio.create_task(double("a", n)) for n in (1, 2))
        await settle()
        leaves.cancel()
        await settle()
        doubler.gate.set()

        assert await stays == 2
        assert leaves.cancelled()
    assert doubler.cancelled == 0


async def test_a_call_that_everybody_left_is_cancelled_and_the_next_one_is_not():
    doubler = Doubler(open_gate=False)
    async with Coalescer("test", doubler) as double:
        leaving = [asyncio.create_task(double("a", n)) for n in (1, 2)]
        await settle()
        late = asyncio.create_task(double("a", 3))
        await settle()
        for task in leaving:
            task.cancel()
        await settle()
        doubler.gate.set()

        assert await late == 6
    assert doubler.cancelled == 1


async def test_who_left_while_waiting_is_not_served():
    doubler = Doubler(open_gate=False)
    async with Coalescer("test", doubler) as double:
        first, left, last = (asyncio.create_task(double("a", 0)) for _ in range(3))
        await settle()
        left.cancel()
        queued = [asyncio.create_task(double("a", n)) for n in (7, 8)]
        await settle()
        queued[0].cancel()
        await settle()
        doubler.gate.set()
        await asyncio.gather(first, last, queued[1])

    assert doubler.batches[-1] == ("a", [8])


async def test_a_refused_item_is_refused_alone():
    async with Coalescer("test", Doubler()) as double:
        results = await asyncio.gather(*(double("a", n) for n in (1, -1, 2)), return_exceptions=True)

    assert [results[0], results[2]] == [2, 4]
    assert isinstance(results[1], InvalidArgument)


async def test_a_failing_server_fails_all_who_asked_and_none_after():
    async with Coalescer("test", Doubler()) as double:
        results = await asyncio.gather(*(double("a", n) for n in (1, 666)), return_exceptions=True)
        assert all(isinstance(result, Unavailable) for result in results)

        assert await double("a", 5) == 10


async def test_a_stopping_service_leaves_nobody_waiting():
    doubler = Doubler(open_gate=False)
    async with Coalescer("test", doubler) as double:
        tasks = [asyncio.create_task(double("a", n)) for n in range(3)]
        await settle()

    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, Unavailable) for result in results)


arrivals = st.lists(st.tuples(st.sampled_from("ab"), st.integers(-2, 50), st.integers(0, 6), st.booleans()))


@given(arrivals, st.integers(1, 4))
async def test_each_caller_gets_its_own_answer_whatever_the_others_do(arrivals, batch_max):
    async def caller(key: str, item: int, after: int, *, leaves: bool) -> int | None:
        for _ in range(after):
            await asyncio.sleep(0)
        try:
            async with asyncio.timeout(0 if leaves else None):
                return await double(key, item)
        except TimeoutError:
            return None

    async with Coalescer("test", Doubler(), batch_max=batch_max) as double:
        results = await asyncio.gather(
            *(caller(key, item, after, leaves=leaves) for key, item, after, leaves in arrivals),
            return_exceptions=True,
        )

    for (_, item, _, leaves), result in zip(arrivals, results, strict=True):
        if leaves and result is None:
            continue
        assert isinstance(result, InvalidArgument) if item < 0 else result == item * 2
