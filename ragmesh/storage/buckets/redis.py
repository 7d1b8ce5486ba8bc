"""Rate limits that all instances share."""

from ragmesh.storage.buckets.memory import MemoryBuckets, judge
from ragmesh.storage.buckets.port import Rate, Verdict
from ragmesh.storage.redis import PREFIX, RedisAway, RedisLink

# By the server's clock, so that instances need not agree on the time. Returns what was there before the taking, as
# text: Redis would cut the fraction off a number. A bucket that will be full again by then is forgotten.
TAKE = """
local cost, capacity, refill = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local whatever = ARGV[4] == 'whatever it holds'
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
local level = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local refilled = (level[1] or capacity) + (now - (level[2] or now)) * refill
local tokens = string.format('%.9f', math.min(capacity, refilled))
local may = whatever or cost <= tonumber(tokens)
local left = may and math.min(capacity, tokens - cost) or tonumber(tokens)
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
        try:
            return judge(await self._take(key, cost, rate, "if it holds that much"), cost, rate)
        except RedisAway:
            return await self._own.take(key, cost, rate)

    async def settle(self, key: str, cost: float, rate: Rate) -> None:
        """Takes `cost` whatever a bucket holds, so that it may owe; a cost below 0 is given back."""
        try:
            await self._take(key, cost, rate, "whatever it holds")
        except RedisAway:
            await self._own.settle(key, cost, rate)

    async def _take(self, key: str, cost: float, rate: Rate, when: str) -> float:
        """What the bucket held before."""
        arguments = (*map(str, (cost, rate.capacity, rate.refill_per_s)), when)
        tokens = await self._redis.ask(lambda client: client.eval(TAKE, 1, f"{PREFIX}bucket:{key}", *arguments))
        return float(tokens)
