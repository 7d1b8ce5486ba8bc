"""A server of the mesh: starts, tells its health, and drains when it is asked to stop.

async def main(live: Live) -> None:
    async with serving("query", [QueryServicer(...)], live) as running:
        await running.stopped()

if __name__ == "__main__":
    run("query", main)
"""

import asyncio
import gc
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import grpc
import structlog
import uvloop
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio  # pyright: ignore[reportAttributeAccessIssue] no stubs
from pydantic import ValidationError

from ragmesh import settings as configuration
from ragmesh.rpc import context, reflection
from ragmesh.rpc.auth.credentials import CheckKey
from ragmesh.rpc.auth.exposure import Exposed, require_closed
from ragmesh.rpc.auth.gate import Gate, gate_of
from ragmesh.rpc.auth.tokens import Signer
from ragmesh.rpc.channels import read
from ragmesh.rpc.config import Live, following
from ragmesh.rpc.discovery import Endpoint, discover
from ragmesh.rpc.heartbeat import beat
from ragmesh.rpc.instance import VERSION, Identity, InstanceServicer
from ragmesh.rpc.interceptor import CallInterceptor
from ragmesh.rpc.load import Load
from ragmesh.settings import Settings
from ragmesh.telemetry import logs, metrics, traces

log = structlog.get_logger()

PACKAGE = "ragmesh.v1"
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Servicer(Protocol):
    """What buf generates for a service."""

    def add_to_server(self, server: grpc.aio.Server) -> None: ...


class Running:
    """A server that runs."""

    def __init__(self, identity: Identity, health_of: health_aio.HealthServicer) -> None:
        self._identity = identity
        self._health = health_of
        self._stop = asyncio.Event()

    @property
    def address(self) -> str:
        """host:port that it listens on."""
        return self._identity.address

    @property
    def load(self) -> Load:
        """How busy it is, for work that does not come by gRPC to be counted too."""
        return self._identity.load

    async def stopped(self) -> None:
        """Returns once the process was asked to end."""
        await self._stop.wait()

    def stop(self) -> None:
        """Asks it to end."""
        self._stop.set()

    async def set_serving(self, serving: bool) -> None:  # noqa: FBT001 reads as a sentence
        """Tells health checks whether this process can do its work now."""
        self._identity.serving = serving
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", self._identity.service, self._identity.id):
            await self._health.set(name, status)


def run(service: str, main: Callable[[Live], Awaitable[None]]) -> None:
    """Runs a process of the mesh to its end: settings, logs, traces, metrics, event loop."""
    try:
        settings = configuration.load()
    except ValidationError as error:
        sys.exit(f"bad settings:\n{configuration.explain(error)}")
    logs.configure(settings)
    logs.name_process(service)
    traces.configure(settings, service)
    metrics.serve(settings)
    _close(settings)
    gc.freeze()  # what is there for good: looking through it now and then would stop all calls for 0.2 s

    async def awaited() -> None:
        beating = asyncio.create_task(beat())
        async with following(settings) as live:
            live.listen(lambda now: logs.set_level(now.log_level))
            await main(live)
        beating.cancel()

    try:
        uvloop.run(awaited())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except Exposed as error:
        sys.exit(str(error))


def _close(settings: Settings) -> None:
    """Lets this process sign its calls where others ask who calls, and ends it where it would be open to others."""
    try:
        require_closed(settings, "listen", settings.listen.rpartition(":")[0])
        if settings.auth == "required":
            context.present_by(Signer.of(settings).present)
    except ValueError as error:
        sys.exit(str(error))


@asynccontextmanager
async def serving(
    service: str,
    servicers: Sequence[Servicer],
    live: Live,
    *,
    pressure: Callable[[], float] = lambda: 0.0,
    check_key: CheckKey | None = None,
) -> AsyncIterator[Running]:
    """Serves gRPC on the settings' `listen` inside the block, and is found there by others.

    Leaving it drains: callers stop coming, calls that run are finished, new ones are refused. `pressure` tells how
    close it comes to all that it can do in time, for those who let it go first. `check_key` checks API keys, the
    admin service where it is not given. Raises Exposed where others would reach an open server.
    """
    settings = live.now
    require_closed(settings, "listen", settings.listen.rpartition(":")[0])
    async with gate_of(settings, check_key) as gate, _serving(service, servicers, live, pressure, gate) as running:
        yield running


@asynccontextmanager
async def _serving(
    service: str, servicers: Sequence[Servicer], live: Live, pressure: Callable[[], float], gate: Gate
) -> AsyncIterator[Running]:
    settings, identity = live.now, Identity(service, pressure=pressure)
    server = grpc.aio.server(interceptors=[CallInterceptor(identity.load, live, gate)], options=_options(settings))
    health_of = health_aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health_of, server)
    for servicer in (*servicers, InstanceServicer(identity)):
        servicer.add_to_server(server)
    reflection.enable(server, [f"{PACKAGE}.{_name(servicer)}" for servicer in servicers])

    identity.address = _bind(server, settings)
    running = Running(identity, health_of)
    await server.start()
    await running.set_serving(True)
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, running.stop)
    log.info("server.started", address=identity.address)
    me = Endpoint(identity.id, advertised(settings, identity.address), settings.zone, VERSION)
    try:
        async with discover(settings).announced(service, me):
            yield running
    finally:
        await running.set_serving(False)
        await server.stop(settings.drain_s)
        log.info("server.stopped", requests=identity.load.requests)


def advertised(settings: Settings, address: str) -> str:
    """The address that others reach this server at."""
    return f"{settings.advertise}:{address.rpartition(':')[2]}" if settings.advertise else address


def _name(servicer: Servicer) -> str:
    """The proto service that a servicer serves: its generated class is called XxxServiceServicer."""
    generated = next(kind for kind in type(servicer).__mro__ if kind.__module__.startswith(PACKAGE))
    return generated.__name__.removesuffix("Servicer")


def _bind(server: grpc.aio.Server, settings: Settings) -> str:
    if settings.tls_cert_file and settings.tls_key_file:
        credentials = grpc.ssl_server_credentials(
            [(settings.tls_key_file.read_bytes(), settings.tls_cert_file.read_bytes())],
            read(settings.tls_ca_file),
            require_client_auth=settings.tls_ca_file is not None,
        )
        port = server.add_secure_port(settings.listen, credentials)
    else:
        port = server.add_insecure_port(settings.listen)
    host = settings.listen.rpartition(":")[0]
    return f"{host}:{port}"


def _options(settings: Settings) -> list[tuple[str, int]]:
    return [
        ("grpc.max_send_message_length", settings.grpc_message_max_bytes),
        ("grpc.max_receive_message_length", settings.grpc_message_max_bytes),
        ("grpc.so_reuseport", 0),  # a port that is taken is an error, not a second server
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 5_000),
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),  # or clients' keepalive is "too_many_pings"
        ("grpc.http2.max_ping_strikes", 0),
    ]
