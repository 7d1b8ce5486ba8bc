"""What every rate limit promises, whatever counts."""

import asyncio
import math
import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ragmesh.storage.buckets.memory import MemoryBuckets
from ragmesh.storage.buckets.port import Buckets, Rate
from ragmesh.storage.buckets.redis import RedisBuckets
from ragmesh.storage.redis import RedisLink
from tests.servers import Server

SLOW = Rate(capacity=3, refill_per_s=0.001)
FAST = Rate(capacity=3, refill_per_s=100)


@pytest_asyncio.fixture(params=["memory", "redis"])
async def buckets(request: pytest.FixtureRequest, redis: Server) -> AsyncIterator[Buckets]:
    if request.param == "memory":
        yield MemoryBuckets()
        return
    async with RedisLink(redis.url) as link:
        yield RedisBuckets(link)


@pytest.fixture
def key() -> str:
    return f"tenant 租户 {uuid.uuid4()}"


async def test_a_bucket_gives_what_it_holds_and_then_says_when_to_come_back(buckets: Buckets, key: str):
    taken = [await buckets.take(key, 1, SLOW) for _ in range(4)]

    assert [verdict.allowed for verdict in taken] == [True, True, True, False]
    assert [round(verdict.remaining) for verdict in taken] == [2, 1, 0, 0]
    assert taken[0].retry_after_s == 0
    assert taken[-1].retry_after_s == pytest.approx(1000, rel=0.01)


async def test_who_comes_back_when_told_is_let_in(buckets: Buckets, key: str):
    await buckets.take(key, 3, FAST)
    refused = await buckets.take(key, 2, FAST)

    await asyncio.sleep(refused.retry_after_s + 0.002)

    assert not refused.allowed
    assert (await buckets.take(key, 2, FAST)).allowed


async def test_a_bucket_never_holds_more_than_its_capacity(buckets: Buckets, key: str):
    await buckets.take(key, 1, FAST)
    await asyncio.sleep(0.1)

    assert (await buckets.take(key, 0, FAST)).remaining == pytest.approx(3, abs=1e-6)


async def test_what_costs_more_than_the_capacity_is_never_allowed_and_takes_nothing(buckets: Buckets, key: str):
    verdict = await buckets.take(key, 4, SLOW)

    assert (verdict.allowed, verdict.retry_after_s) == (False, math.inf)
    assert (await buckets.take(key, 3, SLOW)).allowed


async def test_keys_do_not_share(buckets: Buckets, key: str):
    await buckets.take(key, 3, SLOW)

    assert (await buckets.take(f"{key}'s neighbour", 3, SLOW)).allowed


async def test_of_many_at_once_only_as_many_as_fit_are_allowed(buckets: Buckets, key: str):
    verdicts = await asyncio.gather(*(buckets.take(key, 1, SLOW) for _ in range(20)))

    assert sum(verdict.allowed for verdict in verdicts) == 3


costs = st.floats(0, 5, allow_subnormal=False) | st.sampled_from([1 / 3, 0.1, 1e-9, 2.9999999999])


@given(costs=st.lists(costs, max_size=8))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_no_more_is_ever_given_than_there_was(buckets: Buckets, costs: list[float]):
    key = str(uuid.uuid4())

    verdicts = [await buckets.take(key, cost, SLOW) for cost in costs]

    assert sum(cost for cost, verdict in zip(costs, verdicts, strict=True) if verdict.allowed) <= 3.01
    assert all(0 <= verdict.remaining <= 3 for verdict in verdicts)


async def test_what_was_used_is_taken_whatever_a_bucket_holds_and_what_was_not_is_given_back(
    buckets: Buckets, key: str
):
    await buckets.settle(key, 5, SLOW)
    owing = await buckets.take(key, 1, SLOW)
    await buckets.settle(key, -100, SLOW)

    assert not owing.allowed
    assert owing.retry_after_s == pytest.approx(3000, rel=0.01)
    assert (await buckets.take(key, 0, SLOW)).remaining == pytest.approx(3, abs=0.01)
