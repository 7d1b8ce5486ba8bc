"""How hard pressed a service is, for those who let it go first.

async with pressure_of(channel) as pressure:
    pressure()   # 0 for idle, 1 for all that it can do in time
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import grpc

from ragmesh.errors import Unavailable
from ragmesh.rpc.context import outgoing
from ragmesh.v1 import GetInstanceRequest, InstanceServiceStub

EVERY_S = 0.5
WITHIN_S = 2.0
LATE = grpc.StatusCode.DEADLINE_EXCEEDED  # of one too busy to say how busy it is


@asynccontextmanager
async def pressure_of(channel: grpc.aio.Channel) -> AsyncIterator[Callable[[], float]]:
    """Asks one of its instances now and then, inside the block. One that is away is not pressed."""
    pressure = 0.0

    async def ask() -> None:
        nonlocal pressure
        stub = InstanceServiceStub(channel)
        while True:
            try:
                pressure = (await stub.get_instance(GetInstanceRequest(), **outgoing(WITHIN_S))).pressure
            except (grpc.aio.AioRpcError, Unavailable) as error:
                is_late = isinstance(error, grpc.aio.AioRpcError) and error.code() is LATE
                pressure = max(pressure, 1.0) if is_late else 0.0
            await asyncio.sleep(EVERY_S)

    asking = asyncio.create_task(ask())
    try:
        yield lambda: pressure
    finally:
        asking.cancel()
        await asyncio.wait([asking])
