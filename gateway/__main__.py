"""The edge's process: `python -m gateway`."""

from contextlib import AsyncExitStack

import structlog
from aiohttp import web

from gateway.app import make_app
from gateway.calls import Services
from ragmesh.rpc.channels import connect
from ragmesh.rpc.config import Live
from ragmesh.rpc.server import run, serving
from ragmesh.v1 import AdminServiceStub, DocumentServiceStub, QueryServiceStub

log = structlog.get_logger()

SERVICES = ("document", "worker", "query", "admin")


async def main(live: Live) -> None:
    """Connects, serves HTTP until it is asked to stop, and finishes what runs."""
    settings = live.now
    async with AsyncExitStack() as opened:
        channels = {name: await opened.enter_async_context(connect(settings, name)) for name in SERVICES}
        services = Services(
            live=live,
            channels=channels,
            documents=DocumentServiceStub(channels["document"]),
            query=QueryServiceStub(channels["query"]),
            admin=AdminServiceStub(channels["admin"]),
        )
        running = await opened.enter_async_context(serving("gateway", [], live))
        runner = web.AppRunner(
            make_app(services),
            handler_cancellation=True,  # a reader that leaves cancels its call, down to the model
            access_log=None,
            shutdown_timeout=settings.drain_s,
        )
        await runner.setup()
        opened.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, settings.host, settings.port)
        await site.start()
        host, port = runner.addresses[0][:2]
        log.info("gateway.ready", url=f"http://{host}:{port}")
        await running.stopped()


if __name__ == "__main__":
    run("gateway", main)
