"""The SDK: everything that the mesh does, over gRPC.

    async with Client() as client:                       # the mesh that RAGMESH_* or `ragmesh up` names
        document = await client.add("handbook.pdf", wait=True)
        async for event in client.answer("How long is data kept?"):
            if event.token:
                print(event.token.text, end="")

Methods raise `ragmesh.errors`. Reads are tried once more when a part is away, within a budget; nothing is repeated
once an answer has begun. Leaving a stream early (`contextlib.aclosing`, or cancelling its task) ends its call.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
import numpy as np
from numpy.typing import NDArray

from ragmesh.rpc.auth.present import present_of
from ragmesh.rpc.channels import connect
from ragmesh.rpc.context import DEFAULT_TENANT, CallOptions, bound, outgoing
from ragmesh.rpc.errors import translated
from ragmesh.settings import Settings, load
from ragmesh.up.state import of_running_mesh
from ragmesh.v1 import (
    AdminServiceStub,
    AnswerEvent,
    AnswerRequest,
    Collection,
    Config,
    CreateCollectionRequest,
    CreateKeyRequest,
    CreateKeyResponse,
    DeadLetter,
    DeleteCollectionRequest,
    DeleteDocumentRequest,
    Document,
    DocumentServiceStub,
    DocumentState,
    DownloadDocumentRequest,
    EmbedRequest,
    EmbedRole,
    Filter,
    GetCollectionRequest,
    GetDocumentRequest,
    GetMeshRequest,
    GetStatsRequest,
    Key,
    ListCollectionsRequest,
    ListDeadLettersRequest,
    ListDocumentsRequest,
    ListKeysRequest,
    ListModelsRequest,
    Mesh,
    Model,
    QueryServiceStub,
    ReplayDeadLettersRequest,
    ReprocessDocumentRequest,
    RevokeKeyRequest,
    SearchMode,
    SearchRequest,
    SearchResponse,
    SetConfigRequest,
    Stats,
    SuggestQuestionsRequest,
    UploadDocumentRequest,
    UploadSpec,
    WatchDocumentRequest,
)

PIECE_BYTES = 256 * 1024
TRANSFER_S = 3600.0  # longest upload, download or watch
TERMINAL = frozenset({DocumentState.READY, DocumentState.FAILED, DocumentState.DELETING})

Message = TypeVar("Message")
Watcher = Callable[[Document], None]


class Client:
    """A mesh, seen from an application. Use it with `async with`; safe to call concurrently."""

    def __init__(self, settings: Settings | None = None, *, tenant: str = DEFAULT_TENANT) -> None:
        """Without settings: those of the environment, or of the mesh that `ragmesh up` runs on this machine."""
        self._settings = settings or of_running_mesh(load())
        self._tenant = tenant
        self._present = present_of(self._settings)
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        channels = [
            await self._open.enter_async_context(connect(self._settings, service))
            for service in ("document", "query", "admin")
        ]
        self._documents = DocumentServiceStub(channels[0])
        self._query = QueryServiceStub(channels[1])
        self._admin = AdminServiceStub(channels[2])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    async def add(
        self,
        path: str | Path,
        *,
        collection: str = "",
        name: str | None = None,
        metadata: Mapping[str, str] | None = None,
        wait: bool = False,
        watcher: Watcher | None = None,
    ) -> Document:
        """Uploads a file, a piece at a time. `wait` returns when it is READY or FAILED; `watcher` sees it come."""
        path = Path(path)
        spec = UploadSpec(
            collection=collection,
            name=name or path.name,
            metadata=dict(metadata or {}),
            size_bytes=path.stat().st_size,
        )
        with translated():
            document = await self._documents.upload_document(_upload(spec, path), **self._options(TRANSFER_S))
        if not wait or document.state in TERMINAL:
            return document
        async for seen in self.watch(document.id):
            document = seen
            if watcher:
                watcher(seen)
        return document

    async def get(self, document_id: str) -> Document:
        """A document. Raises NotFound."""
        with translated():
            return await self._documents.get_document(GetDocumentRequest(id=document_id), **self._options())

    async def list(
        self, collection: str = "", *, state: DocumentState = DocumentState.UNSPECIFIED
    ) -> AsyncIterator[Document]:
        """Every document of a collection, newest first, fetched page by page."""
        request = ListDocumentsRequest(collection=collection, state=state)
        while True:
            with translated():
                page = await self._documents.list_documents(request, **self._options())
            for document in page.documents:
                yield document
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def watch(self, document_id: str) -> AsyncGenerator[Document, None]:
        """The document now and after each change, until it is READY, FAILED or gone."""
        request = WatchDocumentRequest(id=document_id)
        return _stream(lambda: self._documents.watch_document(request, **self._options(TRANSFER_S)))

    async def delete(self, document_id: str) -> None:
        """Deletes a document: no search that begins later finds it."""
        with translated():
            await self._documents.delete_document(DeleteDocumentRequest(id=document_id), **self._options())

    async def reprocess(self, document_id: str) -> Document:
        """Indexes a document anew; what is searchable now stays so until then. One in the making is left to it."""
        with translated():
            return await self._documents.reprocess_document(
                ReprocessDocumentRequest(id=document_id), **self._options()
            )

    async def download(self, document_id: str) -> AsyncGenerator[bytes, None]:
        """The original bytes, a piece at a time."""
        request = DownloadDocumentRequest(id=document_id)
        call = _stream(lambda: self._documents.download_document(request, **self._options(TRANSFER_S)))
        async with aclosing(call) as messages:
            async for message in messages:
                if message.data:
                    yield message.data

    async def create_collection(self, name: str) -> Collection:
        """A new collection. Raises AlreadyExists."""
        with translated():
            return await self._documents.create_collection(CreateCollectionRequest(name=name), **self._options())

    async def collection(self, name: str = "") -> Collection:
        """A collection. Raises NotFound."""
        with translated():
            return await self._documents.get_collection(GetCollectionRequest(name=name), **self._options())

    async def collections(self) -> AsyncIterator[Collection]:
        """Every collection, by name."""
        request = ListCollectionsRequest()
        while True:
            with translated():
                page = await self._documents.list_collections(request, **self._options())
            for collection in page.collections:
                yield collection
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def delete_collection(self, name: str) -> None:
        """Deletes a collection with all its documents."""
        with translated():
            await self._documents.delete_collection(DeleteCollectionRequest(name=name), **self._options())

    async def search(
        self,
        query: str,
        *,
        collection: str = "",
        top_k: int | None = None,
        mode: SearchMode = SearchMode.HYBRID,
        where: Filter | None = None,
    ) -> SearchResponse:
        """The passages that fit best."""
        request = SearchRequest(collection=collection, query=query, top_k=top_k, mode=mode, filter=where)
        with translated():
            return await self._query.search(request, **self._options(self._settings.search_timeout_s))

    def answer(
        self,
        question: str,
        *,
        collection: str = "",
        top_k: int | None = None,
        mode: SearchMode = SearchMode.HYBRID,
        where: Filter | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
    ) -> AsyncGenerator[AnswerEvent, None]:
        """Streams an answer: sources, tokens, usage, done; or an error as the last event.

        Closing the generator stops the model.
        """
        request = AnswerRequest(
            collection=collection,
            question=question,
            top_k=top_k,
            mode=mode,
            filter=where,
            max_tokens=max_tokens,
            temperature=temperature,
        )
        return _stream(lambda: self._query.answer(request, **self._options(self._settings.answer_timeout_s)))

    async def suggest(
        self,
        *,
        collection: str = "",
        count: int = 3,
        document_id: str | None = None,
        answer: str | None = None,
    ) -> Sequence[str]:
        """Questions that a document, an answer or the whole collection suggests."""
        request = SuggestQuestionsRequest(
            collection=collection, count=count, document_id=document_id, answer=answer
        )
        with translated():
            response = await self._query.suggest_questions(
                request, **self._options(self._settings.answer_timeout_s)
            )
        return response.questions

    async def embed(self, texts: Sequence[str], role: EmbedRole = EmbedRole.QUERY) -> NDArray[np.float32]:
        """Unit vectors, shape (len(texts), dims)."""
        with translated():
            response = await self._query.embed(EmbedRequest(texts=list(texts), role=role), **self._options())
        return np.frombuffer(response.vectors, "<f4").reshape(-1, response.dims)

    async def mesh(self) -> Mesh:
        """Every instance and backing server, with its health."""
        with translated():
            return await self._admin.get_mesh(GetMeshRequest(), **self._options())

    async def stats(self) -> Stats:
        """Counts and rates."""
        with translated():
            return await self._admin.get_stats(GetStatsRequest(), **self._options())

    async def models(self) -> Sequence[Model]:
        """The models that the inference server knows."""
        with translated():
            return (await self._admin.list_models(ListModelsRequest(), **self._options())).models

    async def set_config(self, key: str, value: str, *, expected_revision: int | None = None) -> Config:
        """Changes a setting of the whole mesh; an empty value takes it back. Raises InvalidArgument, Aborted."""
        request = SetConfigRequest(key=key, value=value, expected_revision=expected_revision)
        with translated():
            return await self._admin.set_config(request, **self._options())

    async def dead_letters(self) -> AsyncIterator[DeadLetter]:
        """Documents of all tenants that were given up, newest first, fetched page by page."""
        request = ListDeadLettersRequest()
        while True:
            with translated():
                page = await self._admin.list_dead_letters(request, **self._options())
            for letter in page.dead_letters:
                yield letter
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def replay(self, document_ids: Sequence[str] = ()) -> int:
        """Queues documents again that were given up, all without ids; returns how many."""
        request = ReplayDeadLettersRequest(document_ids=list(document_ids))
        with translated():
            return (await self._admin.replay_dead_letters(request, **self._options())).replayed

    async def create_key(self, wanted: CreateKeyRequest) -> CreateKeyResponse:
        """A new API key; its text is in the response and nowhere else. Raises InvalidArgument."""
        with translated():
            return await self._admin.create_key(wanted, **self._options())

    async def keys(self, tenant: str = "") -> AsyncIterator[Key]:
        """API keys of a tenant, or of all, newest first, fetched page by page."""
        request = ListKeysRequest(tenant=tenant)
        while True:
            with translated():
                page = await self._admin.list_keys(request, **self._options())
            for key in page.keys:
                yield key
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def revoke_key(self, key_id: str) -> Key:
        """Ends an API key. Raises NotFound."""
        with translated():
            return await self._admin.revoke_key(RevokeKeyRequest(id=key_id), **self._options())

    def _options(self, timeout_s: float | None = None) -> CallOptions:
        with bound(tenant=self._tenant):  # for each call: whichever task makes it, it is this client's
            return outgoing(timeout_s or self._settings.call_timeout_s, self._present)


async def _stream(begin: "Callable[[], grpc.aio.UnaryStreamCall[Any, Message]]") -> AsyncGenerator[Message, None]:
    """What a streaming call brings. Closing the generator ends the call on the server too."""
    call = begin()
    try:
        with translated():
            async for message in call:
                yield message
    finally:
        call.cancel()


async def _upload(spec: UploadSpec, path: Path) -> AsyncIterator[UploadDocumentRequest]:
    yield UploadDocumentRequest(spec=spec)
    with path.open("rb") as file:
        while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
            yield UploadDocumentRequest(data=piece)
