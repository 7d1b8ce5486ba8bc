"""Rate limits that all instances share."""

from ragmesh.storage.buckets.memory import MemoryBuckets, judge
from ragmesh.storage.buckets.port import Rate, Verdict
from ragmesh.storage.redis import PREFIX, RedisAway, RedisLink

# By the server's clock, so that instances need not agree on the time. Returns what was there before the taking, as
# text: Redis would cut the fraction off a number. A bucket that will be full again by then is forgotten.
TAKE = """
local cost, capacity, refill = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
local level = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local refilled = (level[1] or capacity) + (now - (level[2] or now)) * refill
local tokens = string.format('%.9f', math.min(capacity, refilled))
local left = cost <= tonumber(tokens) and tokens - cost or tonumber(tokens)
redis.call('HSET', KEYS[1], 'tokens', string.format('%.9f', left), 'at', string.format('%.6f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil((capacity - left) / refill * 1000) + 1000)
return tokens
"""


class RedisBuckets:
    """Buckets in Redis. While it is away each instance counts for itself: n of them allow n times as much."""

    def __init__(self, redis: RedisLink) -> None:
        self._redis = redis
        self._own = MemoryBuckets()

    async def take(self, key: str, cost: float, rate: Rate) -> Verdict:
        """Takes `cost` out of a bucket if it holds that much, else nothing."""
        numbers = (cost, rate.capacity, rate.refill_per_s)
        try:
            tokens = await self._redis.ask(
                lambda client: client.eval(TAKE, 1, f"{PREFIX}bucket:{key}", *map(str, numbers))
            )
        except RedisAway:
            return await self._own.take(key, cost, rate)
        return judge(float(tokens), cost, rate)
