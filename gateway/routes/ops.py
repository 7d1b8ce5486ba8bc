"""What operators ask the edge itself."""

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from gateway import shapes
from gateway.access import NOTHING
from gateway.bodies import respond
from gateway.openapi import DESCRIPTION, Operation, documented
from gateway.readiness import READINESS
from ragmesh.access import Scope
from ragmesh.rpc.health import SERVING

routes = web.RouteTableDef()


@routes.get("/healthz")
@documented(Operation("Whether the edge is alive", shapes.Alive, needs=NOTHING))
async def healthz(request: web.Request) -> web.Response:
    return respond(shapes.Alive(status="alive"))


@routes.get("/readyz")
@documented(
    Operation("Whether the mesh can serve, and which part can't", shapes.Readiness, needs=NOTHING, also=(503,))
)
async def readyz(request: web.Request) -> web.Response:
    parts = await request.app[READINESS].parts()
    ready = all(state == SERVING for state in parts.values())
    status = "ready" if ready else "not ready"
    return respond(shapes.Readiness(status=status, parts=dict(parts)), 200 if ready else 503)


@routes.get("/metrics")
@documented(Operation("Prometheus metrics of the edge", media="text/plain", needs=Scope.ADMIN))
async def metrics(request: web.Request) -> web.Response:
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


@routes.get("/openapi.json")
@documented(Operation("This description", media="application/json", needs=NOTHING))
async def description(request: web.Request) -> web.Response:
    return web.Response(text=request.app[DESCRIPTION](), content_type="application/json")
