"""What operators ask the edge itself."""

import asyncio

import grpc
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from gateway import messages, openapi, shapes
from gateway.access import NOTHING
from gateway.bodies import respond
from gateway.calls import Services, services
from gateway.openapi import Operation, documented
from ragmesh.access import Scope, the_mesh
from ragmesh.errors import MeshError
from ragmesh.rpc.context import acting, outgoing
from ragmesh.rpc.health import SERVING, ask_health
from ragmesh.v1 import GetMeshRequest

READY_WITHIN_S = 2.0
BACKENDS_WITHIN_S = 3.0  # the admin service asks them for 2 s
NEEDED = ("document", "worker", "query", "admin")

routes = web.RouteTableDef()


@routes.get("/healthz")
@documented(Operation("Whether the edge is alive", shapes.Alive, needs=NOTHING))
async def healthz(request: web.Request) -> web.Response:
    return respond(shapes.Alive(status="alive"))


@routes.get("/readyz")
@documented(Operation("Whether the mesh can serve, and which part can't", shapes.Readiness, needs=NOTHING))
async def readyz(request: web.Request) -> web.Response:
    mesh = services(request)
    own, backends = await asyncio.gather(_services(mesh), _backends(mesh))
    parts = own | backends
    ready = all(state == SERVING for state in parts.values())
    return respond(shapes.Readiness(status="ready" if ready else "not ready", parts=parts), 200 if ready else 503)


@routes.get("/metrics")
@documented(Operation("Prometheus metrics of the edge", media="text/plain", needs=Scope.ADMIN))
async def metrics(request: web.Request) -> web.Response:
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


@routes.get("/openapi.json")
@documented(Operation("This description", media="application/json", needs=NOTHING))
async def description(request: web.Request) -> web.Response:
    return respond(openapi.describe(request.app))


async def _services(mesh: Services) -> dict[str, str]:
    """What each service says of itself."""
    health = await asyncio.gather(*(_health(mesh.channels[name]) for name in NEEDED))
    return dict(zip(NEEDED, health, strict=True))


async def _backends(mesh: Services) -> dict[str, str]:
    """What the admin service sees of Triton and Milvus; nothing where it does not answer."""
    try:
        with acting(the_mesh()):  # whoever asks hears only who is ready
            seen = await mesh.admin.get_mesh(GetMeshRequest(), **outgoing(BACKENDS_WITHIN_S))
    except (grpc.aio.AioRpcError, MeshError):
        return {}
    return {backend.role: messages.name(backend.health) for backend in seen.backends}


async def _health(channel: grpc.aio.Channel) -> str:
    try:
        return await ask_health(channel, READY_WITHIN_S)
    except MeshError as error:  # no instance is known
        return error.code
