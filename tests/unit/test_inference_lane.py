"""A lane bounds what is under way, and in the background leaves room to those who are pressed."""

import asyncio

import pytest

from ragmesh.inference.lane import SHARE_MIN, Lane

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
