"""Single-flight over all instances, through Redis.

Whoever takes a key's lease leads: it does the work, and tells every event to a stream in Redis that others follow.
The lease holds a token which names that stream, so that a leader who lost its lease without knowing (its process
stood still) goes on writing to a stream that nobody joins any more. A leader renews its lease several times in its
life; when it dies, its followers see the lease run out, one of them takes it, and the others follow that one.
"""

import asyncio
import json
import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from types import TracebackType
from typing import Self

from prometheus_client import Counter

from ragmesh.errors import BY_CODE, MeshError
from ragmesh.storage.redis import PREFIX, RedisAway, RedisLink
from svc_query.codec import decode, encode
from svc_query.events import AnswerEvent
from svc_query.resume import resumed

Start = Callable[[], AsyncGenerator[AnswerEvent, None]]

LEASE_S = 1.2
RENEW_S = 0.3
LISTEN_S = 0.2  # how long a follower listens before it looks whether its leader lives
PATIENCE_S = LISTEN_S + 0.2  # Redis looks only ten times a second who has listened for long enough
KEPT_S = 30.0  # for those who began to follow just before the end
TOLD_MAX_BYTES = 4 * 1024 * 1024  # of one flight; after that its leader goes on alone
READ_MAX = 256  # events at once

SHARED = Counter("ragmesh_shared_flights_total", "Flights over all instances, by this one's part in them", ["part"])

RENEW = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""
RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"


class _LeaderGone(Exception):
    """A flight broke off without an end."""


class RedisFlights:
    """Implements SharedFlights. Without Redis each instance does its own work."""

    def __init__(self, redis: RedisLink) -> None:
        self._redis = redis

    async def join(self, key: str, start: Start) -> AsyncGenerator[AnswerEvent, None]:
        """The events of the work with this key, done by this instance or heard from another that does it.

        Raises what the work raises, and Unavailable where a leader died whose successor says something else.
        """
        heard: list[AnswerEvent] = []
        while True:
            token = secrets.token_hex(8)
            leader = await self._leader(key, token)
            events = self._lead(key, token, start) if leader == token else self._follow(key, leader)
            try:
                async with aclosing(resumed(tuple(heard), events)) as news:
                    async for event in news:
                        heard.append(event)
                        yield event
            except _LeaderGone:
                SHARED.labels("orphaned").inc()
            else:
                return

    async def _leader(self, key: str, token: str) -> str:
        """The token of whoever leads: this one, if nobody does or nobody can be asked."""
        lease = _lease(key)
        try:
            _, holder = await self._redis.ask(
                lambda client: client.pipeline().set(lease, token, nx=True, px=_ms(LEASE_S)).get(lease).execute()
            )
        except RedisAway:
            return token
        return str(holder, "ascii")

    async def _lead(self, key: str, token: str, start: Start) -> AsyncGenerator[AnswerEvent, None]:
        SHARED.labels("led").inc()
        async with _Telling(self._redis, key, token) as telling, aclosing(start()) as events:
            async for event in events:
                await telling.tell("event", encode(event))
                yield event

    async def _follow(self, key: str, leader: str) -> AsyncGenerator[AnswerEvent, None]:
        SHARED.labels("followed").inc()
        try:
            async with aclosing(self._told(key, leader)) as told:
                async for kind, data in told:
                    match kind:
                        case b"event":
                            yield decode(data)
                        case b"end":
                            return
                        case b"failed":
                            raise _error(data)
                        case _:
                            raise _LeaderGone
        except RedisAway:
            raise _LeaderGone from None

    async def _told(self, key: str, leader: str) -> AsyncGenerator[tuple[bytes, bytes], None]:
        """What a leader tells. Silent and without a lease it is heard once more: it may just have ended."""
        stream, last, lives = _stream(key, leader), b"0", True
        while True:
            entries = await self._listen(stream, last)
            if not entries and not lives:
                raise _LeaderGone
            if not entries:
                lives = await self._redis.ask(lambda client: client.get(_lease(key))) == leader.encode()
            for number, fields in entries:
                last = number
                for told in fields.items():
                    yield told

    async def _listen(self, stream: str, last: bytes) -> Sequence[tuple[bytes, dict[bytes, bytes]]]:
        streams = await self._redis.ask(
            lambda client: client.xread({stream: last}, count=READ_MAX, block=_ms(LISTEN_S)), patience_s=PATIENCE_S
        )
        return streams[0][1] if streams else ()


class _Telling:
    """A leader's voice. It falls silent for good where Redis missed a word, or where the lease was lost."""

    def __init__(self, redis: RedisLink, key: str, token: str) -> None:
        self._redis = redis
        self._lease = _lease(key)
        self._stream = _stream(key, token)
        self._token = token
        self._audible = True
        self._told_bytes = 0

    async def __aenter__(self) -> Self:
        self._renewing = asyncio.create_task(self._renew())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._renewing.cancel()
        await asyncio.gather(self._renewing, return_exceptions=True)
        await self.tell(*_ending(error))
        if error is None:
            return  # until the lease runs out, those who lost the leader before this one find what it said
        with suppress(RedisAway):
            await self._redis.ask(lambda client: client.eval(RELEASE, 1, self._lease, self._token))

    async def tell(self, kind: str, data: bytes) -> None:
        """Adds to what followers hear."""
        self._told_bytes += len(data)
        self._audible = self._audible and self._told_bytes <= TOLD_MAX_BYTES
        if not self._audible:
            return
        try:
            await self._redis.ask(
                lambda client: (
                    client.pipeline(transaction=False)
                    .xadd(self._stream, {kind: data})
                    .pexpire(self._stream, _ms(KEPT_S))
                    .execute()
                )
            )
        except RedisAway:
            self._audible = False

    async def _renew(self) -> None:
        arguments = (self._lease, self._stream, self._token, _ms(LEASE_S), _ms(KEPT_S))
        while self._audible:
            await asyncio.sleep(RENEW_S)
            try:
                held = await self._redis.ask(lambda client: client.eval(RENEW, 2, *arguments))
                self._audible = self._audible and held == 1  # it may have fallen silent meanwhile
            except RedisAway:
                self._audible = False


def _ending(error: BaseException | None) -> tuple[str, bytes]:
    """How a leader takes its leave. What followers would meet too is told; anything else is the leader's own."""
    if error is None:
        return "end", b""
    if isinstance(error, MeshError):
        return "failed", json.dumps([error.code, error.message, error.retry_after_s]).encode()
    return "left", b""


def _error(data: bytes) -> MeshError:
    code, message, retry_after_s = json.loads(data)
    return BY_CODE[code](message, retry_after_s=retry_after_s)


def _lease(key: str) -> str:
    return f"{PREFIX}flight:{key}"


def _stream(key: str, token: str) -> str:
    return f"{PREFIX}flight:{key}:{token}"


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
