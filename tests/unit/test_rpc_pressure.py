"""Who yields hears how hard pressed the others are."""

from contextlib import AsyncExitStack

from ragmesh.rpc.channels import open_channel
from ragmesh.rpc.config import Live
from ragmesh.rpc.pressure import pressure_of
from ragmesh.rpc.server import serving
from ragmesh.settings import Settings
from tests.documents import until


async def test_a_services_pressure_is_heard_and_a_service_that_is_gone_is_not_pressed():
    settings = Settings(drain_s=0)
    async with AsyncExitStack() as opened:
        running = await opened.enter_async_context(serving("query", [], Live(settings), pressure=lambda: 0.7))
        async with open_channel(settings, running.address) as channel, pressure_of(channel) as pressure:
            await until(lambda: pressure() == 0.7)
            await opened.aclose()
            await until(lambda: pressure() == 0)
