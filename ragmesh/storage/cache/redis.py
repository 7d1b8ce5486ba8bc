"""A cache that all instances share."""

from contextlib import suppress

from ragmesh.storage.redis import PREFIX, RedisAway, RedisLink

VALUE_MAX_BYTES = 1024 * 1024  # a larger one would hold up everybody's calls


class RedisCache:
    """Values in Redis, which forgets by its own policy when it is full."""

    def __init__(self, redis: RedisLink) -> None:
        self._redis = redis

    async def get(self, key: str) -> bytes | None:
        """The value that was last set, or None."""
        try:
            return await self._redis.ask(lambda client: client.get(_name(key)))
        except RedisAway:
            return None

    async def set(self, key: str, value: bytes, ttl_s: float) -> None:
        """Keeps a value for `ttl_s` seconds at most; a very large one is not kept."""
        if len(value) > VALUE_MAX_BYTES:
            return
        with suppress(RedisAway):
            await self._redis.ask(lambda client: client.set(_name(key), value, px=max(1, round(ttl_s * 1000))))


def _name(key: str) -> str:
    return f"{PREFIX}cache:{key}"
