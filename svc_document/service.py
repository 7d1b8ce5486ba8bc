"""gRPC in, gRPC out: messages to the domain and back, nothing else."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

import grpc

from ragmesh import v1
from ragmesh.errors import InvalidArgument
from ragmesh.rpc.context import tenant
from svc_document import wire
from svc_document.collections import Shelves
from svc_document.documents import Library
from svc_document.ports import Chores
from svc_document.reembed import Reembeddings
from svc_document.upload import Spec, Uploads
from svc_document.watch import Watchtower

PIECE_BYTES = 256 * 1024

Context = grpc.aio.ServicerContext


@dataclass(frozen=True)
class DocumentServicer(v1.DocumentServiceServicer):
    """Serves `DocumentService`."""

    uploads: Uploads
    library: Library
    shelves: Shelves
    watchtower: Watchtower
    chores: Chores
    reembeddings: Reembeddings

    async def upload_document(
        self, request: AsyncIterator[v1.UploadDocumentRequest], context: Context
    ) -> v1.Document:
        spec = await _read_spec(request)
        return wire.to_message(await self.uploads.upload(tenant(), spec, _read_pieces(request)))

    async def get_document(self, request: v1.GetDocumentRequest, context: Context) -> v1.Document:
        return wire.to_message(await self.library.get(tenant(), request.id))

    async def list_documents(self, request: v1.ListDocumentsRequest, context: Context) -> v1.ListDocumentsResponse:
        page = await self.library.page(
            tenant(),
            request.collection,
            state=wire.to_state(request.state),
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return v1.ListDocumentsResponse(
            documents=[wire.to_message(document) for document in page.entries], next_page_token=page.next_token
        )

    async def delete_document(
        self, request: v1.DeleteDocumentRequest, context: Context
    ) -> v1.DeleteDocumentResponse:
        await self.library.delete(tenant(), request.id)
        return v1.DeleteDocumentResponse()

    async def reprocess_document(self, request: v1.ReprocessDocumentRequest, context: Context) -> v1.Document:
        return wire.to_message(await self.library.reprocess(tenant(), request.id))

    async def watch_document(
        self, request: v1.WatchDocumentRequest, context: Context
    ) -> AsyncIterator[v1.Document]:
        async with aclosing(self.watchtower.watch(tenant(), request.id)) as documents:
            async for document in documents:
                yield wire.to_message(document)

    async def download_document(
        self, request: v1.DownloadDocumentRequest, context: Context
    ) -> AsyncIterator[v1.DownloadDocumentResponse]:
        document, pieces = await self.library.download(tenant(), request.id)
        yield v1.DownloadDocumentResponse(document=wire.to_message(document))
        async with aclosing(pieces):
            async for piece in pieces:
                for start in range(0, len(piece), PIECE_BYTES):
                    yield v1.DownloadDocumentResponse(data=piece[start : start + PIECE_BYTES])

    async def resolve_documents(
        self, request: v1.ResolveDocumentsRequest, context: Context
    ) -> v1.ResolveDocumentsResponse:
        collection, live = await self.library.resolve(tenant(), request.collection, request.document_ids)
        return v1.ResolveDocumentsResponse(
            collection=wire.to_collection_message(collection), live=[wire.to_live_message(one) for one in live]
        )

    async def create_collection(self, request: v1.CreateCollectionRequest, context: Context) -> v1.Collection:
        return wire.to_collection_message(await self.shelves.create(tenant(), request.name))

    async def get_collection(self, request: v1.GetCollectionRequest, context: Context) -> v1.Collection:
        return wire.to_collection_message(await self.shelves.get(tenant(), request.name))

    async def list_collections(
        self, request: v1.ListCollectionsRequest, context: Context
    ) -> v1.ListCollectionsResponse:
        page = await self.shelves.page(tenant(), page_size=request.page_size, page_token=request.page_token)
        return v1.ListCollectionsResponse(
            collections=[wire.to_collection_message(one) for one in page.entries], next_page_token=page.next_token
        )

    async def delete_collection(
        self, request: v1.DeleteCollectionRequest, context: Context
    ) -> v1.DeleteCollectionResponse:
        await self.shelves.delete(tenant(), request.name)
        return v1.DeleteCollectionResponse()

    async def get_ingest_stats(self, request: v1.GetIngestStatsRequest, context: Context) -> v1.IngestStats:
        return wire.to_stats_message(await self.chores.stats())

    async def list_failed_documents(
        self, request: v1.ListFailedDocumentsRequest, context: Context
    ) -> v1.ListDocumentsResponse:
        page = await self.library.failed(page_size=request.page_size, page_token=request.page_token)
        return v1.ListDocumentsResponse(
            documents=[wire.to_message(document) for document in page.entries], next_page_token=page.next_token
        )

    async def retry_failed_documents(
        self, request: v1.RetryFailedDocumentsRequest, context: Context
    ) -> v1.RetryFailedDocumentsResponse:
        return v1.RetryFailedDocumentsResponse(queued=await self.library.retry_failed(request.document_ids))

    async def get_reembedding(self, request: v1.GetReembeddingRequest, context: Context) -> v1.Reembedding:
        return wire.to_reembedding_message(await self.reembeddings.get(request.model))


async def _read_spec(requests: AsyncIterator[v1.UploadDocumentRequest]) -> Spec:
    first = await anext(requests, None)
    if first is None or first.spec is None:
        raise InvalidArgument("the first message of an upload must be its spec", field="spec")
    spec = first.spec
    return Spec(spec.collection, spec.name, spec.metadata, spec.size_bytes, spec.sha256, spec.idempotency_key)


async def _read_pieces(requests: AsyncIterator[v1.UploadDocumentRequest]) -> AsyncIterator[bytes]:
    async for request in requests:
        if request.data is None:
            raise InvalidArgument("after the spec, each message of an upload must carry data", field="data")
        if len(request.data) > PIECE_BYTES:
            raise InvalidArgument(
                f"a message carries {len(request.data)} bytes: send at most {PIECE_BYTES} in each", field="data"
            )
        yield request.data
