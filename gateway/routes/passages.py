"""Passages of a document: /v1/collections/{collection}/documents/{id}/chunks."""

from aiohttp import web

from gateway import messages, shapes
from gateway.bodies import respond
from gateway.calls import services
from gateway.openapi import Operation, documented
from gateway.paging import number, page_of
from ragmesh.access import Scope
from ragmesh.rpc.context import outgoing
from ragmesh.rpc.errors import translated
from ragmesh.v1 import ListChunksRequest

PAGE_MAX = 2**31 - 1

routes = web.RouteTableDef()


@routes.get("/v1/collections/{collection}/documents/{id}/chunks")
@documented(
    Operation(
        "The passages of a searchable document in their order: all, those of a `page`, or from a little before the "
        "passage whose chunk_id is `around`",
        shapes.ChunkPage,
        query=("page", "around", "page_size", "page_token"),
        needs=Scope.READ,
    )
)
async def chunks(request: web.Request) -> web.Response:
    mesh, wanted = services(request), page_of(request)
    with translated():
        found = await mesh.query.list_chunks(
            ListChunksRequest(
                collection=request.match_info["collection"],
                document_id=request.match_info["id"],
                page=number(request, "page", PAGE_MAX),
                around=request.query.get("around", ""),
                page_size=wanted.size,
                page_token=wanted.token,
            ),
            **outgoing(mesh.settings.search_timeout_s),
        )
    return respond(
        shapes.ChunkPage(chunks=list(map(messages.chunk, found.chunks)), next_page_token=found.next_page_token)
    )
