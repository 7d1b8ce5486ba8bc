"""Collections: /v1/collections."""

from aiohttp import web

from gateway import messages, shapes
from gateway.bodies import read, respond
from gateway.calls import services
from gateway.models import NewCollection
from gateway.openapi import Operation, documented
from gateway.paging import page_of
from ragmesh.access import Scope
from ragmesh.rpc.context import outgoing
from ragmesh.rpc.errors import translated
from ragmesh.v1 import (
    CreateCollectionRequest,
    DeleteCollectionRequest,
    GetCollectionRequest,
    ListCollectionsRequest,
)

routes = web.RouteTableDef()


@routes.post("/v1/collections")
@documented(Operation("Create a collection", shapes.Collection, body=NewCollection, status=201, needs=Scope.WRITE))
async def create(request: web.Request) -> web.Response:
    mesh, body = services(request), await read(request, NewCollection)
    with translated():
        made = await mesh.documents.create_collection(
            CreateCollectionRequest(name=body.name), **outgoing(mesh.settings.call_timeout_s)
        )
    return respond(messages.collection(made), status=201)


@routes.get("/v1/collections")
@documented(
    Operation("List collections", shapes.CollectionPage, query=("page_size", "page_token"), needs=Scope.READ)
)
async def list_all(request: web.Request) -> web.Response:
    mesh, page = services(request), page_of(request)
    with translated():
        found = await mesh.documents.list_collections(
            ListCollectionsRequest(page_size=page.size, page_token=page.token),
            **outgoing(mesh.settings.call_timeout_s),
        )
    listed = [messages.collection(each) for each in found.collections]
    return respond(shapes.CollectionPage(collections=listed, next_page_token=found.next_page_token))


@routes.get("/v1/collections/{collection}")
@documented(Operation("A collection", shapes.Collection, needs=Scope.READ))
async def get(request: web.Request) -> web.Response:
    mesh = services(request)
    with translated():
        found = await mesh.documents.get_collection(
            GetCollectionRequest(name=request.match_info["collection"]), **outgoing(mesh.settings.call_timeout_s)
        )
    return respond(messages.collection(found))


@routes.delete("/v1/collections/{collection}")
@documented(Operation("Delete a collection with all its documents", status=204, needs=Scope.WRITE))
async def delete(request: web.Request) -> web.Response:
    mesh = services(request)
    with translated():
        await mesh.documents.delete_collection(
            DeleteCollectionRequest(name=request.match_info["collection"]),
            **outgoing(mesh.settings.call_timeout_s),
        )
    return web.Response(status=204)
