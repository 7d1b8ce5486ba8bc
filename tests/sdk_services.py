"""Services that a client may call, which remember what they were asked and fail as they are told to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc

from ragmesh.errors import NotFound, ResourceExhausted, Unavailable
from ragmesh.rpc.errors import details_of, status_of
from ragmesh.settings import Settings
from ragmesh.v1 import (
    AdminServiceServicer,
    AnswerError,
    AnswerEvent,
    Chunk,
    Citation,
    Config,
    Document,
    DocumentServiceServicer,
    DocumentState,
    Done,
    FinishReason,
    GetMeshRequest,
    ListChunksResponse,
    ListDocumentsResponse,
    Mesh,
    QueryServiceServicer,
    SearchResponse,
    SearchResult,
    SetConfigRequest,
    Setting,
    Sources,
    Token,
    Usage,
)

PASSAGE = Chunk(
    chunk_id="1:1:0", document_id="1", document_name="ferry.md", page=3, text="The ferry leaves at six."
)
CITED = Citation(marker="[1]", chunk=PASSAGE, score=1.0)


async def refuse(context, error):
    """What the servers' interceptor does with an error."""
    context.set_trailing_metadata(details_of(error, "request"))
    await context.abort(status_of(error), error.message)


class Documents(DocumentServiceServicer):
    def __init__(self) -> None:
        self.metadata: list[dict[str, str]] = []
        self.uploads: list[tuple[str, bytes]] = []
        self.pieces: list[int] = []
        self.break_off = 0  # uploads that are still to fail

    async def upload_document(self, request, context):
        data = b""
        async for message in request:
            if message.spec:
                name = message.spec.name
            else:
                self.pieces.append(len(message.data))
                data += message.data
        if self.break_off:
            self.break_off -= 1
            await refuse(context, Unavailable("restarting"))
        self.uploads.append((name, data))
        return Document(id="1", name=name, state=DocumentState.QUEUED, size_bytes=len(data))

    async def watch_document(self, request, context):
        for state in (DocumentState.QUEUED, DocumentState.PROCESSING, DocumentState.READY):
            yield Document(id=request.id, state=state)

    async def list_documents(self, request, context):
        first = int(request.page_token or 0)
        following = str(first + 2) if first < 4 else ""
        return ListDocumentsResponse([Document(id=str(first)), Document(id=str(first + 1))], following)

    async def get_document(self, request, context):
        self.metadata.append(dict(context.invocation_metadata()))
        await refuse(context, NotFound(f"there is no document {request.id}"))


class Query(QueryServiceServicer):
    def __init__(self) -> None:
        self.cancelled = asyncio.Event()
        self.searches = 0
        self.busy = 0  # searches that are still to be refused
        self.retry_after_s: float | None = 0.01
        self.streams: list[list[tuple[str, list[str]]]] = []  # for each conversation its questions and histories

    async def search(self, request, context):
        self.searches += 1
        if self.busy:
            self.busy -= 1
            await refuse(context, ResourceExhausted("too many searches", retry_after_s=self.retry_after_s))
        if request.query == "wait":
            await asyncio.sleep(60)
        return SearchResponse(results=[SearchResult(chunk=PASSAGE, score=0.5)])

    async def answer(self, request, context):
        if request.question == "Break off.":
            yield AnswerEvent(token=Token(text="At"))
            yield AnswerEvent(error=AnswerError(code="UNAVAILABLE", message="the model is away", retriable=True))
            return
        if request.question == "Tell everything.":
            async for event in self._endless():
                yield event
        for event in answered("At six. [1]"):
            yield event

    async def chat(self, request, context):
        turns: list[tuple[str, list[str]]] = []
        self.streams.append(turns)
        async for message in request:
            turns.append((message.turn.question, [turn.text for turn in message.turn.history]))
            if message.turn.question == "Tell everything.":
                async for event in self._endless():
                    yield event
            if message.turn.question == "End.":
                return
            for event in answered(f"answer to {message.turn.question}"):
                yield event

    async def complete(self, request, context):
        yield AnswerEvent(token=Token(text=f"{request.prompt} and so on"))
        yield AnswerEvent(usage=Usage(prompt_tokens=1, completion_tokens=3))

    async def list_chunks(self, request, context):
        first = int(request.page_token or 0)
        return ListChunksResponse([Chunk(chunk_id=str(first))], str(first + 1) if first < 2 else "")

    async def _endless(self):
        try:
            while True:
                yield AnswerEvent(token=Token(text="word "))
                await asyncio.sleep(0.001)
        finally:
            self.cancelled.set()  # wherever it was: gRPC may have been sending an event


class Admin(AdminServiceServicer):
    async def get_mesh(self, request: GetMeshRequest, context) -> Mesh:
        return Mesh()

    async def get_config(self, request, context) -> Config:
        return Config(settings=[Setting(key="RAGMESH_PORT", value="9", source="environment")])

    async def set_config(self, request: SetConfigRequest, context) -> Config:
        return Config(settings=[Setting(key=request.key, value=request.value, source="dynamic")])


def answered(text: str):
    """The events of an answer that goes well."""
    yield AnswerEvent(sources=Sources(citations=[CITED]))
    for word in text.split(" "):
        yield AnswerEvent(token=Token(text=f"{word} "))
    yield AnswerEvent(usage=Usage(prompt_tokens=7, completion_tokens=5))
    yield AnswerEvent(done=Done(finish_reason=FinishReason.STOP, citations=[CITED]))


@dataclass
class Served:
    """The services, and where they are."""

    address: str
    documents: Documents = field(default_factory=Documents)
    query: Query = field(default_factory=Query)

    @property
    def target(self) -> str:
        return f"static:document={self.address},query={self.address},admin={self.address}"

    @property
    def settings(self) -> Settings:
        return Settings(discovery_url=self.target)


@asynccontextmanager
async def serving(credentials: grpc.ServerCredentials | None = None) -> AsyncIterator[Served]:
    """Serves them all at one address."""
    server = grpc.aio.server()
    port = (
        server.add_secure_port("localhost:0", credentials)
        if credentials
        else server.add_insecure_port("127.0.0.1:0")
    )
    served = Served(f"{'localhost' if credentials else '127.0.0.1'}:{port}")
    for servicer in (served.documents, served.query, Admin()):
        servicer.add_to_server(server)
    await server.start()
    try:
        yield served
    finally:
        await server.stop(None)
