"""The edge alone: real HTTP in front, real gRPC behind, and services that answer as each test tells them to.

The real services stand behind it in tests/e2e; here they must fail, hang and watch in ways that real ones won't.
"""

import asyncio
import base64
import io
import json
import struct
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given
from hypothesis import strategies as st

from gateway import sse
from gateway.app import make_app
from gateway.calls import Services
from gateway.filters import to_message
from gateway.models import SearchBody
from gateway.problem import STATUS
from ragmesh import errors
from ragmesh.rpc.channels import open_channel
from ragmesh.rpc.server import serving
from ragmesh.settings import Settings
from ragmesh.v1 import (
    AdminServiceStub,
    AnswerEvent,
    Chunk,
    Citation,
    Document,
    DocumentServiceServicer,
    DocumentServiceStub,
    DocumentState,
    Done,
    DownloadDocumentResponse,
    EmbedResponse,
    FinishReason,
    QueryServiceServicer,
    QueryServiceStub,
    SearchResponse,
    SearchResult,
    Sources,
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


class Documents(DocumentServiceServicer):
    """Keeps what it is sent, and raises what it is told to."""

    def __init__(self) -> None:
        self.error: errors.MeshError | None = None
        self.received: list = []
        self.arrived = asyncio.Event()
        self.completed = asyncio.Event()
        self.broken_off = asyncio.Event()

    async def upload_document(self, request, context):
        try:
            async for message in request:
                self.received.append(message)
                self.arrived.set()
        except asyncio.CancelledError:
            self.broken_off.set()
            raise
        self.completed.set()
        return Document(id="d", name="a.md", state=DocumentState.QUEUED)

    async def watch_document(self, request, context):
        yield Document(id=request.id, state=DocumentState.PROCESSING, progress=0.5)
        yield Document(id=request.id, state=DocumentState.READY, progress=1.0)

    async def get_document(self, request, context):
        if self.error:
            raise self.error
        return Document(id=request.id)

    async def download_document(self, request, context):
        yield DownloadDocumentResponse(
            document=Document(id=request.id, name='ü"\n.html', content_type="text/html", size_bytes=4)
        )
        yield DownloadDocumentResponse(data=b"abcd")


class Queries(QueryServiceServicer):
    """Answers with the events that it is given."""

    def __init__(self) -> None:
        self.events: list = list(ANSWER)
        self.hold = asyncio.Event()  # before the second event
        self.hold.set()
        self.left = asyncio.Event()
        self.asked: list = []

    async def answer(self, request, context):
        self.asked.append(request)
        try:
            for number, event in enumerate(self.events):
                if number == 1:
                    await self.hold.wait()
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            self.left.set()

    async def search(self, request, context):
        self.asked.append(request)
        return SearchResponse(results=[SearchResult(chunk=FOUND, score=0.75)])

    async def embed(self, request, context):
        return EmbedResponse(vectors=struct.pack("<4f", 1, 0, 0, 1), dims=2, model="e5/1", prompt_tokens=7)


class Edge:
    def __init__(self, client: TestClient, documents: Documents, queries: Queries, stop_services) -> None:
        self.client, self.documents, self.queries = client, documents, queries
        self.stop_services = stop_services

    async def json(self, method: str, path: str, **kwargs):
        async with self.client.request(method, path, **kwargs) as response:
            return response, await response.json(content_type=None)


@asynccontextmanager
async def an_edge(**settings):
    configured = Settings(listen="127.0.0.1:0", **settings)
    documents, queries = Documents(), Queries()
    async with AsyncExitStack() as behind, AsyncExitStack() as opened:
        running = await behind.enter_async_context(serving("document", [documents, queries], configured))
        channel = await opened.enter_async_context(open_channel(configured, running.address))
        services = Services(
            settings=configured,
            channels=dict.fromkeys(("document", "worker", "query", "admin"), channel),
            documents=DocumentServiceStub(channel),
            query=QueryServiceStub(channel),
            admin=AdminServiceStub(channel),
        )
        server = TestServer(make_app(services))
        async with TestClient(server) as client:
            yield Edge(client, documents, queries, behind.aclose)


@pytest.fixture
async def edge():
    async with an_edge() as running:
        yield running


@pytest.mark.parametrize("code", sorted(STATUS))
async def test_every_failure_has_its_status_and_says_what_would_be_right(edge, code):
    edge.documents.error = errors.BY_CODE[code]("what would be right", field="id", retry_after_s=1.2)

    response, problem = await edge.json("GET", "/v1/documents/d", headers={"x-request-id": "mine-1"})

    assert response.status == problem["status"] == STATUS[code]
    assert response.content_type == "application/problem+json"
    assert (problem["detail"], problem["code"], problem["field"]) == ("what would be right", code, "id")
    assert problem["request_id"] == response.headers["x-request-id"] == "mine-1"
    assert response.headers["Retry-After"] == "2"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        ("POST", "/v1/collections/c/search", b"{", 400, "not valid JSON"),
        ("POST", "/v1/collections/c/search", b"\xff", 400, "not valid JSON"),
        ("POST", "/v1/collections/c/search", b"[" * 100_000, 400, "not valid JSON"),
        ("POST", "/v1/collections/c/search", b'{"query": "x", "topk": 1}', 400, "top_k"),
        ("POST", "/v1/collections/c/search", b'{"query": "x", "filter": {"page": true}}', 400, "filter"),
        ("POST", "/v1/collections/c/search", io.BytesIO(bytes(2_000_000)), 413, "1 MiB"),
        ("POST", "/v1/collections/c/documents", b"text", 400, "?name="),
        ("POST", "/v1/collections/c/documents?name=a&wait=maybe", b"text", 400, "true or false"),
        ("POST", "/v1/collections/c/documents?name=a&metadata=[]", b"text", 400, "object of strings"),
        ("GET", "/v1/collections/c/documents?page_size=1001", None, 400, "page_size"),
        ("GET", "/v1/collections/c/documents?state=LOST", None, 400, "QUEUED"),
        ("GET", "/nowhere", None, 404, "/docs"),
        ("PATCH", "/v1/collections", None, 405, "GET"),
    ],
)
async def test_a_bad_request_never_reaches_a_service(edge, method, path, body, status, says):
    response, problem = await edge.json(
        method, path, data=body, headers={"Content-Type": "application/json"} if body else None
    )

    assert response.status == status
    assert says in problem["detail"]
    assert not edge.queries.asked


async def test_an_upload_passes_through_in_pieces(edge):
    body = bytes(700_000)

    response, document = await edge.json(
        "POST", '/v1/collections/c/documents?name=a.md&wait=true&metadata={"k":"v"}', data=body
    )

    spec, *pieces = edge.documents.received
    assert (response.status, document["state"]) == (201, "READY")
    assert (spec.spec.name, spec.spec.collection, spec.spec.metadata) == ("a.md", "c", {"k": "v"})
    assert b"".join(piece.data for piece in pieces) == body
    assert max(len(piece.data) for piece in pieces) <= 256 * 1024


async def test_a_form_is_an_upload_too(edge):
    form = aiohttp.FormData()
    form.add_field("metadata", '{"k": "v"}', content_type="application/json")
    form.add_field("file", b"tea", filename="b.md")

    response, _ = await edge.json("POST", "/v1/collections/c/documents", data=form)

    spec, piece = edge.documents.received
    assert response.status == 202
    assert (spec.spec.name, spec.spec.metadata, piece.data) == ("b.md", {"k": "v"}, b"tea")


async def test_an_upload_that_breaks_off_never_looks_complete(edge):
    _, writer = await asyncio.open_connection(edge.client.host, edge.client.port)
    writer.write(b"POST /v1/collections/c/documents?name=a HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\nhalf")
    await edge.documents.arrived.wait()
    writer.transport.abort()

    await asyncio.wait_for(edge.documents.broken_off.wait(), 5)

    assert not edge.documents.completed.is_set()


async def test_a_download_can_not_run_as_a_page(edge):
    async with edge.client.get("/v1/documents/d/content") as response:
        body = await response.read()

    assert body == b"abcd"
    assert response.headers["Content-Disposition"] == "attachment; filename*=UTF-8''%C3%BC%22%0A.html"
    assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_an_answer_in_one_piece(edge):
    response, body = await edge.json("POST", "/v1/collections/c/answer", json={"question": "Which tea?"})

    assert response.status == 200
    assert body["answer"] == "Jasmine tea. [1]"
    assert body["finish_reason"] == "stop"
    assert body["usage"] == {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
    assert [(each["marker"], each["page"], each["document_name"]) for each in body["citations"]] == [
        ("[1]", 2, "a.md")
    ]


async def events_of(response) -> list[tuple[str, dict]]:
    blocks = (await response.read()).decode().strip().split("\n\n")
    return [
        (name.removeprefix("event: "), json.loads(data.removeprefix("data: ")))
        for name, data in (block.split("\n") for block in blocks if not block.startswith(":"))
    ]


async def test_an_answer_as_events(edge):
    async with edge.client.post("/v1/collections/c/answer", json={"question": "?", "stream": True}) as response:
        events = await events_of(response)

    assert [name for name, _ in events] == ["sources", "token", "token", "usage", "done"]
    assert events[1][1] == {"text": "Jasmine "}
    assert response.headers["Cache-Control"] == "no-cache, no-transform"
    assert response.headers["X-Accel-Buffering"] == "no"
    assert response.headers["x-request-id"]


async def test_a_failure_in_mid_stream_is_an_event_and_never_text(edge):
    edge.queries.events = [*ANSWER[:2], errors.Unavailable("the model is away")]

    async with edge.client.post("/v1/collections/c/answer", json={"question": "?", "stream": True}) as response:
        events = await events_of(response)

    assert events[-1] == ("error", {"code": "UNAVAILABLE", "message": "the model is away", "retriable": True})
    assert "away" not in "".join(data["text"] for name, data in events if name == "token")


async def test_a_failure_before_the_first_event_has_its_status(edge):
    edge.queries.events = [errors.ResourceExhausted("32 answers are being written", retry_after_s=3)]

    response, problem = await edge.json("POST", "/v1/collections/c/answer", json={"question": "?", "stream": True})

    assert (response.status, response.headers["Retry-After"]) == (429, "3")
    assert problem["detail"] == "32 answers are being written"


async def test_a_silent_stream_is_kept_alive(edge, monkeypatch):
    monkeypatch.setattr(sse, "HEARTBEAT_S", 0.02)
    edge.queries.hold.clear()

    async with edge.client.post("/v1/collections/c/answer", json={"question": "?", "stream": True}) as response:
        async for line in response.content:
            if line == b": ping\n":
                edge.queries.hold.set()
                break
        rest = await response.read()

    assert b"event: done" in rest


async def test_a_reader_that_leaves_ends_the_call(edge):
    edge.queries.hold.clear()

    response = await edge.client.post("/v1/collections/c/answer", json={"question": "?", "stream": True})
    await response.content.readline()
    response.close()

    await asyncio.wait_for(edge.queries.left.wait(), 5)


async def test_the_life_of_a_document_as_events(edge):
    async with edge.client.get("/v1/documents/d/events") as response:
        events = await events_of(response)

    assert [(name, data["state"]) for name, data in events] == [("document", "PROCESSING"), ("document", "READY")]


async def test_vectors_in_openais_shape(edge):
    _, floats = await edge.json("POST", "/v1/embeddings", json={"input": ["a", "b"], "model": "any"})
    _, encoded = await edge.json("POST", "/v1/embeddings", json={"input": "a", "encoding_format": "base64"})

    assert [each["embedding"] for each in floats["data"]] == [[1.0, 0.0], [0.0, 1.0]]
    assert floats["usage"] == {"prompt_tokens": 7, "total_tokens": 7}
    assert base64.b64decode(encoded["data"][0]["embedding"]) == struct.pack("<2f", 1, 0)


async def test_openais_routes_fail_in_openais_shape(edge):
    response, body = await edge.json("POST", "/v1/chat/completions", json={})

    assert response.status == 501
    assert body["error"]["type"] == "server_error"
    assert "/v1/collections/{collection}/answer" in body["error"]["message"]


async def test_the_description_is_whole(edge):
    _, api = await edge.json("GET", "/openapi.json")

    described = json.dumps(api)
    for reference in {part.split('"')[0] for part in described.split('"$ref": "#/components/schemas/')[1:]}:
        assert reference in api["components"]["schemas"]
    for path, operations in api["paths"].items():
        for operation in operations.values():
            declared = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
            assert declared == {part.split("}")[0] for part in path.split("{")[1:]}
    assert {"/v1/collections/{collection}/search", "/v1/documents/{id}/events", "/readyz"} <= set(api["paths"])


async def test_not_ready_names_the_part_that_is_away(edge):
    _, alive = await edge.json("GET", "/healthz")
    _, ready = await edge.json("GET", "/readyz")
    await edge.stop_services()

    response, away = await edge.json("GET", "/readyz")

    assert (alive, ready["status"]) == ({"status": "alive"}, "ready")
    assert (response.status, away["parts"]["query"]) == (503, "UNAVAILABLE")


VALUES = st.one_of(
    st.text(max_size=20),
    st.integers(-9, 9),
    st.lists(st.text(max_size=5), max_size=3),
    st.fixed_dictionaries({"not": st.text(max_size=5)}),
    st.fixed_dictionaries({"exists": st.booleans()}),
    st.fixed_dictionaries({}, optional={"at_least": st.integers(-9, 9), "at_most": st.integers(-9, 9)}),
)


@given(st.dictionaries(st.text(max_size=20), VALUES, max_size=16))
def test_a_filter_keeps_every_condition(conditions):
    body = SearchBody.model_validate({"query": "x", "filter": conditions})
    message = to_message(body.filter)

    assert [each.field for each in message.conditions] == list(conditions) if conditions else message is None
