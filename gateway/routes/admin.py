"""What operators ask: /v1/admin."""

from collections.abc import AsyncGenerator

from aiohttp import web

from gateway import messages, shapes, sse
from gateway.bodies import read, respond
from gateway.calls import Services, services
from gateway.models import ReplayBody
from gateway.openapi import Operation, documented
from gateway.paging import page_of
from ragmesh.access import Scope
from ragmesh.rpc.context import CallOptions, outgoing
from ragmesh.rpc.errors import translated
from ragmesh.v1 import (
    GetConfigRequest,
    GetMeshRequest,
    GetStatsRequest,
    ListDeadLettersRequest,
    ListModelsRequest,
    ReplayDeadLettersRequest,
    WatchMeshRequest,
)

WATCH_S = 3600.0  # then a browser connects anew

routes = web.RouteTableDef()


@routes.get("/v1/admin/mesh")
@documented(Operation("Every instance and backing server, with its health", shapes.Mesh, needs=Scope.ADMIN))
async def mesh(request: web.Request) -> web.Response:
    with translated():
        seen = await services(request).admin.get_mesh(GetMeshRequest(), **_short(request))
    return respond(messages.mesh(seen))


@routes.get("/v1/admin/mesh/events", allow_head=False)
@documented(
    Operation(
        "Follow the mesh: an SSE `mesh` event whenever it changes", media="text/event-stream", needs=Scope.ADMIN
    )
)
async def mesh_events(request: web.Request) -> web.StreamResponse:
    return await sse.stream(request, _watched(services(request)))


@routes.get("/v1/admin/stats")
@documented(Operation("Counts of documents, chunks and calls", shapes.Stats, needs=Scope.ADMIN))
async def stats(request: web.Request) -> web.Response:
    with translated():
        counted = await services(request).admin.get_stats(GetStatsRequest(), **_short(request))
    return respond(messages.stats(counted))


@routes.get("/v1/admin/config")
@documented(Operation("The settings in effect, secrets hidden", shapes.Config, needs=Scope.ADMIN))
async def config(request: web.Request) -> web.Response:
    with translated():
        settings = await services(request).admin.get_config(GetConfigRequest(), **_short(request))
    return respond(messages.config(settings))


@routes.get("/v1/admin/models")
@documented(Operation("The models of the inference server", shapes.Models, needs=Scope.ADMIN))
async def models(request: web.Request) -> web.Response:
    with translated():
        known = await services(request).admin.list_models(ListModelsRequest(), **_short(request))
    return respond(shapes.Models(models=[messages.model(each) for each in known.models]))


@routes.get("/v1/admin/dead-letters")
@documented(
    Operation(
        "Documents that were given up", shapes.DeadLetterPage, query=("page_size", "page_token"), needs=Scope.ADMIN
    )
)
async def dead_letters(request: web.Request) -> web.Response:
    page = page_of(request)
    with translated():
        found = await services(request).admin.list_dead_letters(
            ListDeadLettersRequest(page_size=page.size, page_token=page.token), **_short(request)
        )
    letters = [messages.dead_letter(each) for each in found.dead_letters]
    return respond(shapes.DeadLetterPage(dead_letters=letters, next_page_token=found.next_page_token))


@routes.post("/v1/admin/dead-letters/replay")
@documented(Operation("Queue dead letters again", shapes.Replayed, body=ReplayBody, needs=Scope.ADMIN))
async def replay(request: web.Request) -> web.Response:
    body = await read(request, ReplayBody)
    with translated():
        done = await services(request).admin.replay_dead_letters(
            ReplayDeadLettersRequest(document_ids=body.document_ids), **_short(request)
        )
    return respond(shapes.Replayed(replayed=done.replayed))


async def _watched(behind: Services) -> AsyncGenerator[sse.Event, None]:
    call = behind.admin.watch_mesh(WatchMeshRequest(), **outgoing(WATCH_S))
    try:
        with translated():
            async for seen in call:
                yield "mesh", messages.mesh(seen)
    finally:
        call.cancel()


def _short(request: web.Request) -> CallOptions:
    return outgoing(services(request).settings.call_timeout_s)
