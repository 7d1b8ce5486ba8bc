"""Documents: /v1/collections/{collection}/documents and /v1/documents/{id}."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from typing import Any
from urllib.parse import quote

import grpc
import structlog
from aiohttp import web

from gateway import messages, shapes, sse
from gateway.bodies import respond
from gateway.caller import caller
from gateway.calls import Services, services
from gateway.limits import one_more_download, one_more_upload
from gateway.openapi import Operation, documented
from gateway.paging import flag, page_of, state_of
from gateway.upload import upload_of
from gateway.watches import watches
from ragmesh.access import Scope
from ragmesh.errors import Aborted
from ragmesh.rpc.auth.gate import require
from ragmesh.rpc.context import outgoing
from ragmesh.rpc.errors import translated
from ragmesh.rpc.refusal import refusal_of
from ragmesh.v1 import (
    DeleteDocumentRequest,
    Document,
    DownloadDocumentRequest,
    DownloadDocumentResponse,
    GetDocumentRequest,
    ListDocumentsRequest,
    ReprocessDocumentRequest,
    UploadDocumentRequest,
)

log = structlog.get_logger()

TRANSFER_S = 3600.0
READ_WITHIN_S = 60.0  # a piece of a download

routes = web.RouteTableDef()


@routes.post("/v1/collections/{collection}/documents")
@documented(
    Operation(
        "Upload a document: multipart (`metadata`, then `file`) or raw bytes. 201 once it is READY or FAILED with "
        "wait=true (which needs `read` too), else 202 as soon as it is kept",
        shapes.Document,
        query=("name", "metadata", "wait"),
        headers=("Idempotency-Key",),
        upload=True,
        status=202,
        needs=Scope.WRITE,
        also=(201,),
    )
)
async def upload(request: web.Request) -> web.Response:
    mesh, wait = services(request), flag(request, "wait")
    if wait:
        require(caller(request), Scope.READ)  # before anything is kept
    incoming = await upload_of(request, mesh.settings.upload_max_bytes)
    with one_more_upload(request):
        document = await _pass_on(mesh, incoming.messages(request.match_info["collection"]))
    if not wait:
        return respond(messages.document(document), status=202)
    async with aclosing(watches(request).follow(document.id)) as changes:
        async for seen in changes:
            document = seen
    return respond(messages.document(document), status=201)


@routes.get("/v1/collections/{collection}/documents")
@documented(
    Operation(
        "List documents, newest first",
        shapes.DocumentPage,
        query=("page_size", "page_token", "state"),
        needs=Scope.READ,
    )
)
async def list_all(request: web.Request) -> web.Response:
    mesh, page = services(request), page_of(request)
    with translated():
        found = await mesh.documents.list_documents(
            ListDocumentsRequest(
                collection=request.match_info["collection"],
                page_size=page.size,
                page_token=page.token,
                state=state_of(request),
            ),
            **outgoing(mesh.settings.call_timeout_s),
        )
    listed = [messages.document(each) for each in found.documents]
    return respond(shapes.DocumentPage(documents=listed, next_page_token=found.next_page_token))


@routes.get("/v1/documents/{id}")
@documented(Operation("A document and what became of it", shapes.Document, needs=Scope.READ))
async def get(request: web.Request) -> web.Response:
    mesh = services(request)
    with translated():
        found = await mesh.documents.get_document(
            GetDocumentRequest(id=request.match_info["id"]), **outgoing(mesh.settings.call_timeout_s)
        )
    return respond(messages.document(found))


@routes.delete("/v1/documents/{id}")
@documented(Operation("Delete a document: no later search finds it", status=204, needs=Scope.WRITE))
async def delete(request: web.Request) -> web.Response:
    mesh = services(request)
    with translated():
        await mesh.documents.delete_document(
            DeleteDocumentRequest(id=request.match_info["id"]), **outgoing(mesh.settings.call_timeout_s)
        )
    return web.Response(status=204)


@routes.post("/v1/documents/{id}/reprocess")
@documented(
    Operation(
        "Index a document anew; what is searchable stays so until then",
        shapes.Document,
        status=202,
        needs=Scope.WRITE,
    )
)
async def reprocess(request: web.Request) -> web.Response:
    mesh = services(request)
    with translated():
        queued = await mesh.documents.reprocess_document(
            ReprocessDocumentRequest(id=request.match_info["id"]), **outgoing(mesh.settings.call_timeout_s)
        )
    return respond(messages.document(queued), status=202)


@routes.get("/v1/documents/{id}/events", allow_head=False)
@documented(
    Operation(
        "Follow a document until it is READY or FAILED: SSE `document` events. With Last-Event-ID only what came "
        "later; 204 when nothing will",
        media="text/event-stream",
        headers=("Last-Event-ID",),
        needs=Scope.READ,
        also=(204,),
    )
)
async def events(request: web.Request) -> web.StreamResponse:
    changes = watches(request).follow(request.match_info["id"])
    return await sse.stream(request, _shown(changes, sse.last_event_id(request)))


@routes.get("/v1/documents/{id}/content", allow_head=False)
@documented(Operation("The original bytes", media="application/octet-stream", needs=Scope.READ))
async def content(request: web.Request) -> web.StreamResponse:
    mesh = services(request)
    call = mesh.documents.download_document(
        DownloadDocumentRequest(id=request.match_info["id"]), **outgoing(TRANSFER_S)
    )
    try:
        with one_more_download(request), translated():
            pieces = aiter(call)
            document = (await anext(pieces)).document
            if document is None:
                raise Aborted("the document changed while it was being read; try again")
            response = web.StreamResponse(headers=_download_headers(document))
            await response.prepare(request)
            await _copy(pieces, response)
    finally:
        call.cancel()
    await response.write_eof()
    return response


async def _pass_on(mesh: Services, messages: AsyncIterator[UploadDocumentRequest]) -> Document:
    """Sends an upload on at the pace of the service. A body that breaks off cancels the call: nothing is kept."""
    call = mesh.documents.upload_document(**outgoing(TRANSFER_S))
    try:
        with translated():
            async with refusal_of(call):
                async for message in messages:
                    if call.done():  # refused half-way: the call tells why
                        break
                    with suppress(asyncio.InvalidStateError):
                        await call.write(message)
                await call.done_writing()
                return await call
    finally:
        call.cancel()


async def _shown(changes: AsyncGenerator[Document, None], seen: int) -> AsyncGenerator[sse.Event, None]:
    """Changes as events, without those that a reader who was cut off has seen."""
    async with aclosing(changes):
        async for document in changes:
            if (step := _step(document)) > seen:
                yield "document", messages.document(document), str(step)


def _step(document: Document) -> int:
    """Grows with every change of a document."""
    return int(document.updated_at.timestamp() * 1_000_000) if document.updated_at else 1


async def _copy(pieces: AsyncIterator[DownloadDocumentResponse], response: web.StreamResponse) -> None:
    """Passes the bytes on. When they break off, so does the connection, and its length is wrong."""
    try:
        async for piece in pieces:
            async with asyncio.timeout(READ_WITHIN_S):
                await response.write(piece.data or b"")
    except TimeoutError:
        raise ConnectionResetError(f"nothing of the download was read for {READ_WITHIN_S:g} s") from None
    except grpc.aio.AioRpcError as error:
        log.warning("download.broken", code=error.code().name, reason=error.details())
        raise ConnectionResetError(f"the download broke off: {error.details()}") from error


def _download_headers(document: Document) -> dict[str, Any]:
    """Always a download: a document must not run as a page of the edge's own origin."""
    return {
        "Content-Type": document.content_type or "application/octet-stream",
        "Content-Length": str(document.size_bytes),
        "Content-Security-Policy": "sandbox",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(document.name, safe='')}",
    }
