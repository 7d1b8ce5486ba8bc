"""A Redis that may be away: who asks then is told at once, and it is looked for in the background.

async with open_redis(settings) as redis:  # None where none is configured
    await redis.ask(lambda client: client.get("ragmesh:key"))  # or raises RedisAway
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import structlog
from prometheus_client import Gauge
from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from ragmesh.settings import Settings

PREFIX = "ragmesh:"
SCHEMES = ("redis", "rediss")

TIMEOUT_S = 0.1  # what a Redis that has just gone costs a request, once
LOOK_EVERY_S = 0.25
CONNECTIONS_MAX = 16  # for calls that are answered at once; more of them wait their turn
WAITERS_MAX = 1024  # for calls that wait for something, each on a connection of its own

UP = Gauge("ragmesh_redis_up", "1 while Redis answers, 0 while this process does without it", ["server"])

Result = TypeVar("Result")
Client = Any  # Redis; its own types know only what any client may answer, not what this one does

log = structlog.get_logger()


class RedisAway(Exception):
    """Redis does not answer, or not as it should."""


@asynccontextmanager
async def open_redis(settings: Settings) -> "AsyncIterator[RedisLink | None]":
    """The Redis that `cache_url` names; None for `memory:`. Raises ValueError for anything else."""
    url = settings.cache_url.get_secret_value()
    if url == "memory:":
        yield None
        return
    async with RedisLink(url) as link:
        yield link


class RedisLink:
    """Connections to one Redis, and the knowledge whether it answers."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in SCHEMES:
            raise ValueError("RAGMESH_CACHE_URL must be memory:, redis://HOST:PORT/DB or rediss://HOST:PORT/DB")
        options: dict[str, Any] = {
            "retry": Retry(NoBackoff(), 0),  # a second try would cost a second time-out
            "socket_connect_timeout": TIMEOUT_S,
        }
        self._prompt = Redis.from_pool(
            BlockingConnectionPool.from_url(
                url, max_connections=CONNECTIONS_MAX, timeout=None, socket_timeout=TIMEOUT_S, **options
            )
        )
        self._patient = Redis.from_pool(ConnectionPool.from_url(url, max_connections=WAITERS_MAX, **options))
        self._address = f"{parts.hostname}:{parts.port or 6379}"
        self._missed = asyncio.Event()

    async def __aenter__(self) -> Self:
        UP.labels(self._address).set(1)
        if await self._fault():
            self._missed.set()
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watching.cancel()
        await asyncio.gather(self._watching, return_exceptions=True)
        await self._prompt.aclose()
        await self._patient.aclose()

    async def ask(self, call: Callable[[Client], Awaitable[Result]], *, patience_s: float = 0.0) -> Result:
        """What Redis answers, `patience_s` being what the call itself waits for. Raises RedisAway.

        The first call that Redis does not answer waits for it in vain; those after it don't, until it is back.
        """
        if self._missed.is_set():
            raise RedisAway
        try:
            async with asyncio.timeout(TIMEOUT_S + patience_s):
                with _heeding_cancellation():
                    return await call(self._patient if patience_s else self._prompt)
        except (RedisError, OSError) as error:
            self._missed.set()
            raise RedisAway from error

    async def _watch(self) -> None:
        while True:
            await self._missed.wait()
            await self._find()
            self._missed.clear()

    async def _find(self) -> None:
        """Returns once Redis serves; a single call that came to nothing is not worth telling."""
        fault = await self._fault()
        if fault is None:
            return
        log.warning("redis.away", server=self._address, reason=fault)
        UP.labels(self._address).set(0)
        while fault:
            await asyncio.sleep(LOOK_EVERY_S)
            fault = await self._fault()
        log.warning("redis.back", server=self._address)
        UP.labels(self._address).set(1)

    async def _fault(self) -> str | None:
        """Why Redis can't be used. Asked by a write, which a full or a read-only one refuses."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await self._prompt.set(f"{PREFIX}probe", b"", px=1)
        except (RedisError, OSError) as error:
            return str(error) or "no answer in time"
        return None


@contextmanager
def _heeding_cancellation() -> Iterator[None]:
    """Lets no cancellation get lost, as one does that comes together with an answer: what should end would go on.

    redis-py sends by `asyncio.wait_for`, which has that fault before Python 3.12 (cpython issue 81839).
    """
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    try:
        yield
    finally:
        if task and task.cancelling() > before:
            raise asyncio.CancelledError
