"""What every cache promises, whatever is behind it."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from ragmesh.settings import Settings
from ragmesh.storage.cache.memory import MemoryCache
from ragmesh.storage.cache.port import Cache
from ragmesh.storage.cache.redis import VALUE_MAX_BYTES, RedisCache
from ragmesh.storage.redis import RedisLink, open_redis
from tests.servers import Server

LONG_S = 60.0
SHORT_S = 0.02


@pytest_asyncio.fixture(params=["memory", "redis"])
async def cache(request: pytest.FixtureRequest, redis: Server) -> AsyncIterator[Cache]:
    if request.param == "memory":
        yield MemoryCache(1_000_000)
        return
    async with RedisLink(redis.url) as link:
        yield RedisCache(link)


async def test_a_value_comes_back_as_it_was_set(cache: Cache):
    await cache.set("key", b"\x00value\xff", LONG_S)

    assert await cache.get("key") == b"\x00value\xff"


async def test_an_unknown_key_is_none(cache: Cache):
    assert await cache.get("nobody set this") is None


async def test_the_last_value_wins(cache: Cache):
    await cache.set("key", b"first", LONG_S)
    await cache.set("key", b"second", LONG_S)

    assert await cache.get("key") == b"second"


async def test_keys_may_hold_any_text(cache: Cache):
    await cache.set("问题 with spaces\n\x00", b"value", LONG_S)

    assert await cache.get("问题 with spaces\n\x00") == b"value"


async def test_an_empty_value_is_a_value(cache: Cache):
    await cache.set("key", b"", LONG_S)

    assert await cache.get("key") == b""


async def test_a_value_is_forgotten_when_its_time_is_over(cache: Cache):
    await cache.set("key", b"value", SHORT_S)

    await asyncio.sleep(2 * SHORT_S)

    assert await cache.get("key") is None


async def test_setting_again_renews_the_time(cache: Cache):
    await cache.set("key", b"value", SHORT_S)
    await cache.set("key", b"value", LONG_S)

    await asyncio.sleep(2 * SHORT_S)

    assert await cache.get("key") == b"value"


async def test_memory_forgets_what_was_used_longest_ago_first():
    cache = MemoryCache(max_bytes=20)
    await cache.set("a", b"123456789", LONG_S)
    await cache.set("b", b"123456789", LONG_S)
    await cache.get("a")

    await cache.set("c", b"123456789", LONG_S)

    assert [await cache.get(key) is not None for key in "abc"] == [True, False, True]


async def test_memory_does_not_keep_what_would_fill_it_alone():
    cache = MemoryCache(max_bytes=20)
    await cache.set("kept", b"1", LONG_S)

    await cache.set("huge", bytes(100), LONG_S)

    assert await cache.get("huge") is None
    assert await cache.get("kept") == b"1"


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.binary(max_size=40)), max_size=40))
async def test_memory_never_holds_more_than_its_bound(writes: list[tuple[str, bytes]]):
    cache = MemoryCache(max_bytes=64)

    for key, value in writes:
        await cache.set(key, value, LONG_S)
        held = [entry for name in "abcdef" if (entry := await cache.get(name)) is not None]
        assert sum(map(len, held)) <= 64


async def test_redis_is_spared_what_is_very_large(redis: Server):
    async with RedisLink(redis.url) as link:
        cache = RedisCache(link)

        await cache.set("huge", bytes(VALUE_MAX_BYTES + 1), LONG_S)

        assert await cache.get("huge") is None


@pytest.mark.parametrize("url", ["memcached://somewhere", "redis", ""])
async def test_an_unknown_cache_is_refused_at_start(url: str):
    with pytest.raises(ValueError, match="must be memory:"):
        async with open_redis(Settings(cache_url=url)):
            pass
