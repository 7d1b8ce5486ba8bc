"""The edge's process: `python -m gateway`."""

import asyncio
import gc
from contextlib import AsyncExitStack
from typing import cast

import structlog
from aiohttp import web

from gateway.app import make_app
from gateway.calls import Services
from gateway.connections import Connections
from ragmesh.rpc.auth.credentials import CheckKey, Credentials, asking
from ragmesh.rpc.auth.exposure import require_closed
from ragmesh.rpc.channels import connect
from ragmesh.rpc.config import Live
from ragmesh.rpc.server import run, serving
from ragmesh.settings import Settings
from ragmesh.storage.buckets.memory import MemoryBuckets
from ragmesh.storage.buckets.redis import RedisBuckets
from ragmesh.storage.redis import open_redis
from ragmesh.v1 import AccessServiceStub, AdminServiceStub, DocumentServiceStub, QueryServiceStub

log = structlog.get_logger()

GC_THRESHOLDS = (
    1_000,
    10,
    50,
)  # seldom looks through all objects: with 10,000 open streams that takes half a second
BACKLOG = 4096  # connections that the system accepts for us while we are busy

SERVICES = ("document", "worker", "query", "admin")


async def main(live: Live) -> None:
    """Connects, serves HTTP until it is asked to stop, and finishes what runs."""
    gc.set_threshold(*GC_THRESHOLDS)
    settings = live.now
    require_closed(settings, "host", settings.host)
    async with AsyncExitStack() as opened:
        channels = {name: await opened.enter_async_context(connect(settings, name)) for name in SERVICES}
        check_key = asking(AccessServiceStub(channels["admin"]), settings.call_timeout_s)
        services = Services(
            live=live,
            channels=channels,
            documents=DocumentServiceStub(channels["document"]),
            query=QueryServiceStub(channels["query"]),
            admin=AdminServiceStub(channels["admin"]),
            credentials=await _credentials(settings, check_key, opened),
        )
        running = await opened.enter_async_context(serving("gateway", [], live, check_key=check_key))
        redis = await opened.enter_async_context(open_redis(settings))
        runner = web.AppRunner(
            make_app(services, RedisBuckets(redis) if redis else MemoryBuckets(), running.load),
            handler_cancellation=True,  # a reader that leaves cancels its call, down to the model
            shutdown_timeout=settings.drain_s,
        )
        await runner.setup()
        opened.push_async_callback(runner.cleanup)
        listening = await _listen(runner, settings)
        opened.callback(listening.close)
        host, port = listening.sockets[0].getsockname()[:2]
        log.info("gateway.ready", url=f"http://{host}:{port}")
        await running.stopped()


async def _credentials(settings: Settings, check_key: CheckKey, opened: AsyncExitStack) -> Credentials | None:
    """What callers must present; None where the mesh is open, which is said."""
    if settings.auth == "open":
        log.warning("gateway.open", told="whoever reaches this address may do all; RAGMESH_AUTH=required closes it")
        return None
    return await opened.enter_async_context(Credentials.of(settings, check_key))


async def _listen(runner: web.AppRunner, settings: Settings) -> asyncio.Server:
    connections = Connections(cast("web.Server", runner.server), settings)  # it has one, once it is set up
    loop = asyncio.get_running_loop()
    return await loop.create_server(connections, settings.host, settings.port, backlog=BACKLOG)


if __name__ == "__main__":
    run("gateway", main)
