"""The mesh without its Redis: nothing fails, nothing waits for long, and it comes back by itself."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest_asyncio
from structlog.testing import capture_logs

from ragmesh.storage.buckets.port import Rate
from ragmesh.storage.buckets.redis import RedisBuckets
from ragmesh.storage.cache.redis import RedisCache
from ragmesh.storage.redis import TIMEOUT_S, RedisAway, RedisLink
from ragmesh.up.plan import free_ports
from tests.documents import until
from tests.servers import Server, running

MOMENT_S = TIMEOUT_S + 0.15  # of a machine that does other things too


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with running("redis", tmp_path / "redis") as server:
        yield server


async def serves(cache: RedisCache) -> None:
    """Returns once the cache keeps what it is given."""
    async with asyncio.timeout(5):
        while await cache.get("serves") is None:
            await cache.set("serves", b"1", 60)
            await asyncio.sleep(0.01)


def told(logs: list[dict[str, object]]) -> list[object]:
    return [entry["event"] for entry in logs]


async def test_a_killed_redis_has_forgotten_everything_until_it_is_back(server: Server):
    async with RedisLink(server.url) as link:
        cache = RedisCache(link)
        await serves(cache)

        with capture_logs() as logs:
            await server.kill()
            for _ in range(50):
                await cache.set("key", b"value", 60)
                assert await cache.get("key") is None
            await asyncio.sleep(0.3)
            await server.start()
            await serves(cache)

    assert told(logs) == ["redis.away", "redis.back"]


async def test_a_hung_redis_costs_the_requests_of_one_moment_a_moment_and_the_next_ones_nothing(server: Server):
    async with RedisLink(server.url) as link:
        cache = RedisCache(link)
        await serves(cache)
        server.pause()

        began = time.perf_counter()
        await asyncio.gather(*(cache.get("key") for _ in range(100)))
        first_s = time.perf_counter() - began
        began = time.perf_counter()
        for _ in range(100):
            await cache.get("key")
        next_s = time.perf_counter() - began

        server.resume()
        await serves(cache)

    assert first_s < MOMENT_S
    assert next_s < 0.05


async def test_a_mesh_may_start_before_its_redis(tmp_path: Path):
    (port,) = free_ports(1)
    with capture_logs() as logs:
        async with RedisLink(f"redis://127.0.0.1:{port}/0") as link:
            cache = RedisCache(link)
            assert await cache.get("key") is None
            await asyncio.sleep(0)
            async with running("redis", tmp_path / "redis", port):
                await serves(cache)

    assert told(logs) == ["redis.away", "redis.back"]


async def test_a_redis_that_takes_no_writes_is_away_until_it_does(server: Server):
    async with RedisLink(server.url) as link:
        cache = RedisCache(link)
        await serves(cache)
        with capture_logs() as logs:
            await link.ask(lambda client: client.config_set("min-replicas-to-write", "1"))
            await cache.set("key", b"value", 60)
            await until(lambda: bool(logs))
            await cache.set("key", b"value", 60)
            async with RedisLink(server.url) as other:
                assert await RedisCache(other).get("key") is None

    assert told(logs)[0] == "redis.away"
    assert "NOREPLICAS" in str(logs[0]["reason"])


async def test_without_redis_each_process_limits_for_itself(server: Server):
    rate = Rate(capacity=2, refill_per_s=0.001)
    async with RedisLink(server.url) as link:
        buckets = RedisBuckets(link)
        await server.kill()

        verdicts = [await buckets.take("key", 1, rate) for _ in range(3)]

    assert [verdict.allowed for verdict in verdicts] == [True, True, False]


async def test_a_cancelled_call_leaves_no_answer_behind_for_the_next_one(server: Server):
    async with RedisLink(server.url) as link:
        cache = RedisCache(link)
        for number in range(50):
            await cache.set(f"{number}", f"{number}".encode(), 60)

        for number in range(0, 50, 2):
            cancelled = asyncio.create_task(cache.get(f"{number}"))
            await asyncio.sleep(number * 1e-5)
            cancelled.cancel()
            await asyncio.wait([cancelled])
            assert await cache.get(f"{number + 1}") == f"{number + 1}".encode()


async def test_a_cancellation_that_comes_with_an_answer_is_not_lost(server: Server):
    async with RedisLink(server.url) as link:

        async def ask_on() -> None:
            while True:
                with suppress(RedisAway):  # a busy machine
                    await link.ask(lambda client: client.get("key"))
                await asyncio.sleep(0)

        for number in range(1000):
            asking = asyncio.create_task(ask_on())
            await asyncio.sleep(number % 20 * 1e-4)  # until any moment of a call
            asking.cancel()
            done, _ = await asyncio.wait([asking], timeout=2)
            assert done, "it was cancelled, and asks on"
            assert asking.cancelled()


async def test_a_password_is_used_and_never_told(server: Server):
    async with RedisLink(server.url) as link:
        await link.ask(lambda client: client.config_set("requirepass", "s3cret"))

    with capture_logs() as logs:
        async with RedisLink(server.url.replace("//", "//:wr0ng@")) as link:
            await until(lambda: bool(logs))
            assert await RedisCache(link).get("key") is None
    async with RedisLink(server.url.replace("//", "//:s3cret@")) as link:
        await serves(RedisCache(link))

    assert told(logs) == ["redis.away"]
    assert "wr0ng" not in str(logs)
