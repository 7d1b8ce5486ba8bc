"""The instances of a service, as one caller sees them: a channel each, how busy they are, and which to avoid.

An instance is picked by the power of two choices over the caller's own calls in flight (Mitzenmacher, 2001). One
whose connection breaks, or that keeps failing, is ejected and probed until it serves again.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import structlog
from prometheus_client import Counter, Gauge

from ragmesh.errors import Unavailable
from ragmesh.rpc.discovery import Discovery, Endpoint
from ragmesh.rpc.errors import TRANSPORT, is_from_handler
from ragmesh.rpc.health import SERVING, ask_health
from ragmesh.rpc.load import SERVER_FAULTS

log = structlog.get_logger()

INSTANCES = Gauge("ragmesh_rpc_instances", "Instances that this process knows", ["service", "state"])
EJECTIONS = Counter("ragmesh_rpc_ejections_total", "Instances that this process stopped calling", ["service"])

REFUSES_S = 1.0  # how long an instance that refused a call is avoided
FAULTS_MAX = 5  # in a row, until an instance that still answers is ejected
PROBE_FIRST_S = 0.1
PROBE_MAX_S = 1.0
PROBE_WITHIN_S = 1.0
KNOWN_WITHIN_S = 2.0  # how long a start waits for the discovery
GRACE_S = 180.0  # how long calls to an instance that left may still run


@dataclass(slots=True, eq=False)
class Instance:
    """One instance, and what this process has with it."""

    endpoint: Endpoint
    channel: grpc.aio.Channel
    in_flight: int = 0
    faults: int = 0  # in a row
    ejected: bool = False
    refuses_until: float = 0.0  # monotonic; it has as much to do as it takes on


class Pool:
    """The instances of one service."""

    def __init__(self, service: str, dial: Callable[[str], grpc.aio.Channel]) -> None:
        """`dial` opens a channel to an address."""
        self.service = service
        self._dial = dial
        self._instances: dict[Endpoint, Instance] = {}
        self._available: list[Instance] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def instances(self) -> list[Instance]:
        """All that are known, ejected ones too."""
        return list(self._instances.values())

    @asynccontextmanager
    async def following(self, discovery: Discovery) -> AsyncIterator[None]:
        """Keeps up with the discovery inside the block. Raises ValueError where that can't know the service."""
        known = asyncio.Event()
        watching = self._spawn(self._follow(discovery, known))
        try:
            first = asyncio.ensure_future(known.wait())
            await asyncio.wait([watching, first], timeout=KNOWN_WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
            first.cancel()
            if watching.done():
                watching.result()
            yield
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await asyncio.gather(*(instance.channel.close() for instance in self._instances.values()))

    def pick(self, avoid: Instance | None = None) -> Instance:
        """The less busy of two instances, another one than `avoid` if there is one. Raises Unavailable."""
        candidates = [one for one in self._available if one is not avoid] if avoid else self._available
        candidates = candidates or self._available or self.instances  # when all are ejected, each may be the one
        if not candidates:
            raise Unavailable(
                f"no instance of the {self.service} service is known: it is starting, or has stopped",
                retry_after_s=1.0,
            )
        if len(candidates) == 1:
            return candidates[0]
        now = time.monotonic()
        return min(random.sample(candidates, 2), key=lambda one: (one.refuses_until > now, one.in_flight))

    def succeeded(self, instance: Instance) -> None:
        """A call to it went well, or failed through its caller's fault."""
        instance.faults = 0

    def failed(self, instance: Instance, error: grpc.aio.AioRpcError) -> None:
        """A call to it ended in an error."""
        if is_broken(error):
            self._eject(instance, error.details() or "")
        elif error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
            # It refuses at once, and so would look like the least busy of all.
            instance.refuses_until = time.monotonic() + REFUSES_S
        elif error.code().name not in SERVER_FAULTS:
            self.succeeded(instance)
        else:
            instance.faults += 1
            if instance.faults >= FAULTS_MAX and len(self._available) > 1:
                self._eject(instance, f"{instance.faults} faults in a row, the last: {error.details()}")

    def follow(self, instance: Instance, call: grpc.aio.Call) -> None:
        """Notes how a call ends that nobody retries, whether or not its caller waits for that."""

        async def note() -> None:
            code = await call.code()
            if code is grpc.StatusCode.OK:
                self.succeeded(instance)
            elif not call.cancelled():  # by the caller, which says nothing of the instance
                self.failed(instance, await _error_of(call))

        self._spawn(note())

    async def _follow(self, discovery: Discovery, known: asyncio.Event) -> None:
        async with aclosing(discovery.instances(self.service)) as changes:
            async for endpoints in changes:
                self._update(endpoints)
                if endpoints:
                    known.set()

    def _update(self, endpoints: frozenset[Endpoint]) -> None:
        """Takes over what the discovery says.

        That nobody is left is not believed: a registry that lost its memory says the same, and those who are gone
        are ejected anyway.
        """
        if not endpoints:
            return
        for endpoint in endpoints - self._instances.keys():
            channel = self._dial(endpoint.address)
            channel.get_state(try_to_connect=True)
            self._instances[endpoint] = Instance(endpoint, channel)
        for endpoint in self._instances.keys() - endpoints:
            left = self._instances.pop(endpoint)
            self._spawn(left.channel.close(GRACE_S))
        self._count()

    def _eject(self, instance: Instance, reason: str) -> None:
        if instance.ejected or instance.endpoint not in self._instances:
            return
        instance.ejected = True
        self._count()
        EJECTIONS.labels(self.service).inc()
        log.warning("instance.ejected", called=self.service, address=instance.endpoint.address, reason=reason)
        self._spawn(self._probe(instance))

    async def _probe(self, instance: Instance) -> None:
        """Asks an ejected instance for its health until it serves again, or is gone."""
        pause_s = PROBE_FIRST_S
        while self._instances.get(instance.endpoint) is instance:
            await asyncio.sleep(pause_s)
            if await _serves(instance.channel):
                instance.ejected, instance.faults = False, 0
                self._count()
                log.info("instance.readmitted", called=self.service, address=instance.endpoint.address)
                return
            pause_s = min(PROBE_MAX_S, 2 * pause_s)

    def _count(self) -> None:
        self._available = [instance for instance in self._instances.values() if not instance.ejected]
        INSTANCES.labels(self.service, "available").set(len(self._available))
        INSTANCES.labels(self.service, "ejected").set(len(self._instances) - len(self._available))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def is_broken(error: grpc.aio.AioRpcError) -> bool:
    """Whether the connection failed, and not the server's own work."""
    return error.code() in (*TRANSPORT, grpc.StatusCode.UNAVAILABLE) and not is_from_handler(error)


async def _error_of(call: grpc.aio.Call) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(
        await call.code(), await call.initial_metadata(), await call.trailing_metadata(), await call.details()
    )


async def _serves(channel: grpc.aio.Channel) -> bool:
    try:
        return await ask_health(channel, PROBE_WITHIN_S) == SERVING
    except grpc.aio.UsageError:  # it left meanwhile, and its channel is closed
        return False
