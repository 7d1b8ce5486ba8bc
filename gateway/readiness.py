"""Whether the mesh can serve: asked for once in a moment, however many want to know.

Anybody may ask. Each answer takes a call to every service, and the admin service asks what is behind them.
"""

import asyncio
from collections.abc import Mapping

import grpc
from aiohttp import web

from gateway import messages
from gateway.calls import Services
from ragmesh.access import the_mesh
from ragmesh.errors import MeshError
from ragmesh.rpc.context import acting, forget_deadline, outgoing
from ragmesh.rpc.health import ask_health
from ragmesh.v1 import GetMeshRequest

KEPT_S = 0.5
READY_WITHIN_S = 2.0
BACKENDS_WITHIN_S = 3.0  # the admin service asks them for 2 s
NEEDED = ("document", "worker", "query", "admin")


class Readiness:
    """What the parts of the mesh say of themselves."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._asking: asyncio.Task[Mapping[str, str]] | None = None
        self._good_until = 0.0

    async def parts(self) -> Mapping[str, str]:
        """The health of each part, by its name."""
        now = asyncio.get_running_loop().time()
        if self._asking is None or (self._asking.done() and now >= self._good_until):
            self._asking = asyncio.create_task(self._ask())
        return await asyncio.shield(self._asking)  # others may wait for it: it goes on when one leaves

    async def _ask(self) -> Mapping[str, str]:
        forget_deadline()  # that of the first who asks is its own
        own, backends = await asyncio.gather(self._own(), self._backends())
        self._good_until = asyncio.get_running_loop().time() + KEPT_S
        return own | backends

    async def _own(self) -> dict[str, str]:
        """What each service says of itself."""
        health = await asyncio.gather(*(_health(self._services.channels[name]) for name in NEEDED))
        return dict(zip(NEEDED, health, strict=True))

    async def _backends(self) -> dict[str, str]:
        """What the admin service sees of Triton and Milvus; nothing where it does not answer."""
        try:
            with acting(the_mesh()):  # whoever asks hears only who is ready
                seen = await self._services.admin.get_mesh(GetMeshRequest(), **outgoing(BACKENDS_WITHIN_S))
        except (grpc.aio.AioRpcError, MeshError):
            return {}
        return {backend.role: messages.name(backend.health) for backend in seen.backends}


async def _health(channel: grpc.aio.Channel) -> str:
    try:
        return await ask_health(channel, READY_WITHIN_S)
    except MeshError as error:  # no instance is known
        return error.code


READINESS = web.AppKey("readiness", Readiness)
