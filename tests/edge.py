"""The edge alone: real HTTP in front, real gRPC behind, and services that answer as each test tells them to.

The real services stand behind it in tests/e2e; here they must fail, hang and watch in ways that real ones won't.
"""

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.typedefs import Handler

from gateway.app import make_app
from gateway.calls import Services
from ragmesh import errors
from ragmesh.rpc.auth.credentials import Credentials
from ragmesh.rpc.channels import open_channel
from ragmesh.rpc.config import Live
from ragmesh.rpc.context import tenant
from ragmesh.rpc.server import serving
from ragmesh.settings import Settings
from ragmesh.v1 import (
    AdminServiceServicer,
    AdminServiceStub,
    AnswerEvent,
    Backend,
    Chunk,
    Citation,
    Collection,
    Config,
    DeleteCollectionResponse,
    DeleteDocumentResponse,
    Document,
    DocumentServiceServicer,
    DocumentServiceStub,
    DocumentState,
    Done,
    DownloadDocumentResponse,
    EmbedResponse,
    FinishReason,
    Health,
    IngestStats,
    Instance,
    ListCollectionsResponse,
    ListDocumentsResponse,
    ListModelsResponse,
    Mesh,
    Model,
    ModelRole,
    QueryServiceServicer,
    QueryServiceStub,
    SearchMode,
    SearchResponse,
    SearchResult,
    Setting,
    Sources,
    StateCount,
    Stats,
    SuggestQuestionsResponse,
    Timings,
    Token,
    Usage,
)

FOUND = Chunk(chunk_id="d:1:0", document_id="d", document_name="a.md", page=2, text="tea", metadata={"k": "v"})
CITED = Citation(marker="[1]", chunk=FOUND, score=0.5)
ANSWER = [
    AnswerEvent(sources=Sources(citations=[CITED])),
    AnswerEvent(token=Token(text="Jasmine ")),
    AnswerEvent(token=Token(text="tea. [1]")),
    AnswerEvent(usage=Usage(prompt_tokens=9, completion_tokens=3)),
    AnswerEvent(done=Done(finish_reason=FinishReason.STOP, citations=[CITED])),
]
TIMINGS = Timings(queue_ms=1, embed_ms=4, search_ms=6, total_ms=12)
MODELS = ((ModelRole.EMBED, "e5"), (ModelRole.LLM, "smol"))
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
PAGE = b"<p>" * 7


class Documents(DocumentServiceServicer):
    """Keeps what it is sent, and raises what it is told to."""

    def __init__(self) -> None:
        self.error: errors.MeshError | None = None
        self.watched: list[str] = []
        self.watches_left = 0
        self.ready = asyncio.Event()  # whether documents get READY
        self.ready.set()
        self.is_made = False  # whether they were before they are followed
        self.broken_download: errors.MeshError | None = None
        self.asked: list = []
        self.received: list = []
        self.taking = asyncio.Event()  # whether uploads are read
        self.taking.set()
        self.arrived = asyncio.Event()
        self.completed = asyncio.Event()
        self.broken_off = asyncio.Event()

    async def upload_document(self, request, context):
        try:
            if self.error:
                raise self.error
            await self.taking.wait()
            async for message in request:
                self.received.append(message)
                self.arrived.set()
        except asyncio.CancelledError:
            self.broken_off.set()
            raise
        self.completed.set()
        return Document(id="d", name="a.md", state=DocumentState.QUEUED)

    async def watch_document(self, request, context):
        self.watched.append(request.id)
        try:
            if self.error:
                raise self.error
            if not self.is_made:
                yield _seen(request, DocumentState.PROCESSING, NOON)
                await asyncio.sleep(0.01)  # a reader misses one of two steps that come at once
                await self.ready.wait()
            yield _seen(request, DocumentState.READY, NOON + timedelta(seconds=1))
        finally:
            self.watches_left += 1

    async def get_document(self, request, context):
        if self.error:
            raise self.error
        return Document(id=request.id, state=DocumentState.READY, created_at=NOON)

    async def list_documents(self, request, context):
        self.asked.append(request)
        return ListDocumentsResponse(documents=[Document(id="d")], next_page_token="more")  # noqa: S106 no password

    async def reprocess_document(self, request, context):
        return Document(id=request.id, state=DocumentState.QUEUED, generation=2)

    async def delete_document(self, request, context):
        self.asked.append(request)
        return DeleteDocumentResponse()

    async def download_document(self, request, context):
        yield DownloadDocumentResponse(
            document=Document(id=request.id, name='ü"\n.html', content_type="text/html", size_bytes=len(PAGE))
        )
        yield DownloadDocumentResponse(data=PAGE[:4])
        if self.broken_download:
            raise self.broken_download
        yield DownloadDocumentResponse(data=PAGE[4:])

    async def create_collection(self, request, context):
        return _collection(request)

    async def get_collection(self, request, context):
        return _collection(request)

    async def list_collections(self, request, context):
        """A page of one, then another."""
        name, further = ("teas", "") if request.page_token else ("default", "2")
        return ListCollectionsResponse(
            collections=[Collection(name=name, created_at=NOON)], next_page_token=further
        )

    async def delete_collection(self, request, context):
        self.asked.append(request)
        return DeleteCollectionResponse()


def _seen(request, state: DocumentState, at: datetime) -> Document:
    return Document(id=request.id, state=state, updated_at=at)


def _collection(request) -> Collection:
    return Collection(id="c1", name=request.name, created_at=NOON)


class Queries(QueryServiceServicer):
    """Answers with the events that it is given."""

    def __init__(self) -> None:
        self.events: list = list(ANSWER)
        self.hold_at = 1  # the number of the event before which it waits for `hold`
        self.hold = asyncio.Event()
        self.hold.set()
        self.sent = 0
        self.asked: list = []
        self.tenants: set[str] = set()
        self.entered = asyncio.Event()
        self.left = asyncio.Event()

    async def answer(self, request, context):
        self.asked.append(request)
        self.entered.set()
        try:
            for number, event in enumerate(self.events):
                if number == self.hold_at:
                    await self.hold.wait()
                if isinstance(event, Exception):
                    raise event
                yield event
                self.sent += 1
        finally:
            self.left.set()

    async def complete(self, request, context):
        self.asked.append(request)
        for event in self.events:
            if isinstance(event, Exception):
                raise event
            if not event.sources:
                yield event

    async def search(self, request, context):
        self.asked.append(request)
        self.tenants.add(tenant())
        return SearchResponse(
            results=[SearchResult(chunk=FOUND, score=0.75)], mode=SearchMode.DENSE, timings=TIMINGS
        )

    async def suggest_questions(self, request, context):
        self.asked.append(request)
        return SuggestQuestionsResponse(questions=["Which tea?"])

    async def embed(self, request, context):
        return EmbedResponse(vectors=struct.pack("<4f", 1, 0, 0, 1), dims=2, model="e5/1", prompt_tokens=7)


class Admin(AdminServiceServicer):
    """Tells of a small mesh."""

    def __init__(self) -> None:
        self.triton = Health.SERVING

    async def get_mesh(self, request, context):
        return Mesh(
            instances=[Instance(id="i", service="query", health=Health.SERVING, started_at=NOON)],
            backends=[Backend(role="milvus", health=Health.SERVING), Backend(role="triton", health=self.triton)],
        )

    async def get_stats(self, request, context):
        return Stats(ingest=IngestStats(documents=[StateCount(state=DocumentState.READY, count=3)], chunks=9))

    async def get_config(self, request, context):
        return Config(settings=[Setting(key="RAGMESH_PORT", value="8080", source="default")])

    async def list_models(self, request, context):
        return ListModelsResponse(
            models=[Model(name=name, version="1", role=role, state="READY", active=True) for role, name in MODELS]
        )

    async def list_dead_letters(self, request, context):
        raise errors.Unimplemented("this version can't list dead letters yet")


class Edge:
    """A running edge, what is behind it, and a client of it."""

    def __init__(self, client: TestClient, behind: AsyncExitStack, services: tuple) -> None:
        self.client = client
        self.documents: Documents
        self.queries: Queries
        self.admin: Admin
        self.documents, self.queries, self.admin = services
        self.stop_services = behind.aclose

    async def json(self, method: str, path: str, **kwargs):
        async with self.client.request(method, path, **kwargs) as response:
            return response, await response.json(content_type=None)

    def ask(self, *, stream: bool = True, **kwargs):
        return self.client.post("/v1/collections/c/answer", json={"question": "?", "stream": stream}, **kwargs)


@asynccontextmanager
async def scripted_services() -> AsyncIterator[tuple[str, tuple[Documents, Queries, Admin]]]:
    """All services at one address."""
    servicers = (Documents(), Queries(), Admin())
    async with serving("document", servicers, Live(Settings(listen="127.0.0.1:0"))) as running:
        yield running.address, servicers


@asynccontextmanager
async def an_edge(
    credentials: Credentials | None = None, extra: Mapping[str, Handler] | None = None, **settings
) -> AsyncIterator[Edge]:
    """With `credentials` it asks who calls; `extra` has routes of the test's own."""
    configured = Settings(**settings)
    async with AsyncExitStack() as behind, AsyncExitStack() as opened:
        address, servicers = await behind.enter_async_context(scripted_services())
        channel = await opened.enter_async_context(open_channel(configured, address))
        services = Services(
            live=Live(configured),
            channels=dict.fromkeys(("document", "worker", "query", "admin"), channel),
            documents=DocumentServiceStub(channel),
            query=QueryServiceStub(channel),
            admin=AdminServiceStub(channel),
            credentials=credentials,
        )
        app = make_app(services)
        app.add_routes([web.get(path, handler) for path, handler in (extra or {}).items()])
        async with TestClient(TestServer(app)) as client:
            yield Edge(client, behind, servicers)


async def events_of(response) -> list[tuple[str, dict]]:
    """What a stream said, its pings and the ids of its events left out."""
    blocks = (await response.read()).decode().strip().split("\n\n")
    return [
        (name.removeprefix("event: "), json.loads(data.removeprefix("data: ")))
        for *_, name, data in (block.split("\n") for block in blocks if not block.startswith(":"))
    ]
