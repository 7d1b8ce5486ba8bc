"""A lane bounds what is under way, and in the background leaves room to those who are pressed."""

import asyncio
from collections.abc import Callable

import pytest

from ragmesh.inference.lane import SHARE_MIN, Lane
from ragmesh.inference.width import ANEW, Width

WORK_S = 0.02


async def work(lane: Lane, times: int) -> float:
    """Seconds that it took to take so many turns, one after the other."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    for _ in range(times):
        async with lane.turn():
            await asyncio.sleep(WORK_S)  # the work itself
    return loop.time() - began


async def test_no_more_are_under_way_than_there_are_slots():
    lane, under_way, most = Lane(2), 0, 0

    async def one() -> None:
        nonlocal under_way, most
        async with lane.turn():
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0)
            under_way -= 1

    await asyncio.gather(*(one() for _ in range(20)))

    assert most == 2


@pytest.mark.parametrize(("pressure", "share"), [(0.5, 0.5), (0.8, 0.2), (7.0, SHARE_MIN)])
async def test_a_slot_rests_the_longer_the_harder_others_are_pressed(pressure: float, share: float):
    took_s = await work(Lane(1, lambda: pressure), times=3)

    assert took_s >= WORK_S + 2 * WORK_S / share - 0.01  # nobody waits for the rest after the last turn


async def test_a_turn_that_fails_frees_its_slot():
    lane = Lane(1)
    with pytest.raises(KeyError):
        async with lane.turn():
            raise KeyError

    async with asyncio.timeout(1), lane.turn():
        pass


def settled(least: int, most: int, took_s: Callable[[int], float]) -> int:
    """The width after many requests, each of which takes as long as so many at once do."""
    width = Width(least, most)
    for _ in range(ANEW - 1):
        width.took(took_s(width.now))
    return width.now


def test_a_model_that_does_one_after_the_other_is_given_few():
    assert 2 <= settled(2, 64, lambda at_once: 0.01 * at_once) <= 3


def test_a_model_that_batches_is_given_as_many_as_it_does_without_a_queue():
    assert settled(2, 64, lambda at_once: 0.01) == 64
    assert 28 <= settled(2, 64, lambda at_once: 0.01 * max(1.0, at_once / 32)) <= 40


def test_it_begins_anew_with_few_now_and_then():
    width = Width(2, 8)

    changes = [width.took(0.01) for _ in range(ANEW)]

    assert (sum(changes), max(changes), min(changes), width.now) == (0, 1, -6, 2)


async def test_a_lane_has_as_many_slots_as_its_width_wider_and_narrower():
    lane, under_way, most = Lane(1, most=4), 0, 0

    async def one() -> None:
        nonlocal under_way, most
        async with lane.turn():
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0.001)
            under_way -= 1

    await asyncio.gather(*(one() for _ in range(200)))
    assert most > 1

    narrowed = lane.width._begin_anew()
    lane._release(narrowed)
    most = 0
    with_one_slot = lane._free._value - lane._owed

    assert (narrowed < 0, with_one_slot) == (True, 1)
