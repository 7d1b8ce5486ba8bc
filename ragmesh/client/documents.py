"""Documents and collections."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing

from ragmesh.client.connection import Connection
from ragmesh.client.transfer import Content, Pieces, Sent, Source
from ragmesh.errors import Unavailable
from ragmesh.v1 import (
    Chunk,
    Collection,
    CreateCollectionRequest,
    DeleteCollectionRequest,
    DeleteDocumentRequest,
    Document,
    DocumentState,
    DownloadDocumentRequest,
    GetCollectionRequest,
    GetDocumentRequest,
    ListChunksRequest,
    ListCollectionsRequest,
    ListDocumentsRequest,
    ReprocessDocumentRequest,
    UploadSpec,
    WatchDocumentRequest,
)

TRANSFER_S = 3600.0  # longest upload, download or watch, where none is given
CHUNKS = 100  # passages in one page of a list, as many as may be
TERMINAL = frozenset({DocumentState.READY, DocumentState.FAILED, DocumentState.DELETING})

Watcher = Callable[[Document], None]


class DocumentCalls(Connection):
    """What a client does with documents."""

    async def add(
        self,
        content: Content,
        *,
        collection: str = "",
        name: str | None = None,
        metadata: Mapping[str, str] | None = None,
        wait: bool = False,
        watcher: Watcher | None = None,
        sent: Sent | None = None,
        idempotency_key: str = "",
        timeout: float = TRANSFER_S,
    ) -> Document:
        """Uploads a file by its path, bytes, or a file that is open, a piece at a time.

        Bytes need a `name`. `wait` returns when it is READY or FAILED; `watcher` sees it come. `sent` hears how
        many bytes have been sent so far. An upload that breaks off is repeated, if its content can be read again:
        the same bytes under the same name are one document. Raises OSError for a file that can't be read.
        """
        deadline = time.monotonic() + timeout
        source = Source.of(content, name)
        spec = UploadSpec(
            collection=collection,
            name=source.name,
            metadata=dict(metadata or {}),
            size_bytes=source.size_bytes,
            idempotency_key=idempotency_key,
        )
        document = await self._upload(source, spec, sent, deadline)
        if not wait or document.state in TERMINAL:
            return document
        async with aclosing(self.watch(document.id, timeout=deadline - time.monotonic())) as changes:
            async for seen in changes:
                document = seen
                if watcher:
                    watcher(seen)
        return document

    async def _upload(self, source: Source, spec: UploadSpec, sent: Sent | None, deadline: float) -> Document:
        tries = 0
        while True:
            try:
                with source.open() as file:
                    pieces = Pieces(spec, file, sent)
                    with pieces.own_failures():
                        return await self._call(
                            self._documents.upload_document, pieces.messages(), deadline - time.monotonic()
                        )
            except Unavailable as error:
                if not source.is_repeatable:
                    raise
                await self._pause(error, tries, deadline)
                tries += 1

    async def get(self, document_id: str, *, timeout: float | None = None) -> Document:
        """A document. Raises NotFound."""
        return await self._repeatable(self._documents.get_document, GetDocumentRequest(id=document_id), timeout)

    async def list(
        self,
        collection: str = "",
        *,
        state: DocumentState = DocumentState.UNSPECIFIED,
        timeout: float | None = None,
    ) -> AsyncIterator[Document]:
        """Every document of a collection, newest first, fetched page by page."""
        request = ListDocumentsRequest(collection=collection, state=state)
        async for page in self._pages(self._documents.list_documents, request, timeout):
            for document in page.documents:
                yield document

    def watch(self, document_id: str, *, timeout: float = TRANSFER_S) -> AsyncGenerator[Document, None]:
        """The document now and after each change, until it is READY, FAILED or gone."""
        request = WatchDocumentRequest(id=document_id)
        return self._stream(self._documents.watch_document, request, timeout, resumes=True)

    async def delete(self, document_id: str, *, timeout: float | None = None) -> None:
        """Deletes a document: no search that begins later finds it."""
        await self._call(self._documents.delete_document, DeleteDocumentRequest(id=document_id), timeout)

    async def reprocess(self, document_id: str, *, timeout: float | None = None) -> Document:
        """Indexes a document anew; what is searchable now stays so until then. One in the making is left to it."""
        request = ReprocessDocumentRequest(id=document_id)
        return await self._call(self._documents.reprocess_document, request, timeout)

    async def download(self, document_id: str, *, timeout: float = TRANSFER_S) -> AsyncGenerator[bytes, None]:
        """The original bytes, a piece at a time."""
        request = DownloadDocumentRequest(id=document_id)
        call = self._stream(self._documents.download_document, request, timeout)
        async with aclosing(call) as messages:
            async for message in messages:
                if message.data:
                    yield message.data

    async def chunks(
        self, document_id: str, *, collection: str = "", page: int = 0, timeout: float | None = None
    ) -> AsyncIterator[Chunk]:
        """The passages of a document in their order, or those of one of its pages, counted from 1."""
        request = ListChunksRequest(collection=collection, document_id=document_id, page=page, page_size=CHUNKS)
        async for found in self._pages(self._query.list_chunks, request, timeout):
            for chunk in found.chunks:
                yield chunk

    async def create_collection(self, name: str, *, timeout: float | None = None) -> Collection:
        """A new collection. Raises AlreadyExists."""
        return await self._call(self._documents.create_collection, CreateCollectionRequest(name=name), timeout)

    async def collection(self, name: str = "", *, timeout: float | None = None) -> Collection:
        """A collection. Raises NotFound."""
        return await self._repeatable(self._documents.get_collection, GetCollectionRequest(name=name), timeout)

    async def collections(self, *, timeout: float | None = None) -> AsyncIterator[Collection]:
        """Every collection, by name."""
        async for page in self._pages(self._documents.list_collections, ListCollectionsRequest(), timeout):
            for collection in page.collections:
                yield collection

    async def delete_collection(self, name: str, *, timeout: float | None = None) -> None:
        """Deletes a collection with all its documents."""
        await self._call(self._documents.delete_collection, DeleteCollectionRequest(name=name), timeout)
