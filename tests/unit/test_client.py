"""The SDK over real gRPC, before services that remember what they were asked."""

import asyncio
import subprocess
import sys
from contextlib import aclosing

import grpc
import pytest

import ragmesh
from ragmesh.client import PIECE_BYTES
from ragmesh.errors import NotFound
from ragmesh.settings import Settings
from ragmesh.v1 import (
    AnswerEvent,
    Document,
    DocumentServiceServicer,
    DocumentState,
    ListDocumentsResponse,
    QueryServiceServicer,
    Token,
)


class Documents(DocumentServiceServicer):
    def __init__(self) -> None:
        self.tenants: list[str] = []
        self.pieces: list[int] = []

    async def upload_document(self, request, context):
        async for message in request:
            if message.spec:
                name = message.spec.name
            else:
                self.pieces.append(len(message.data))
        return Document(id="1", name=name, state=DocumentState.QUEUED)

    async def watch_document(self, request, context):
        for state in (DocumentState.QUEUED, DocumentState.PROCESSING, DocumentState.READY):
            yield Document(id=request.id, state=state)

    async def list_documents(self, request, context):
        first = int(request.page_token or 0)
        following = str(first + 2) if first < 4 else ""
        return ListDocumentsResponse([Document(id=str(first)), Document(id=str(first + 1))], following)

    async def get_document(self, request, context):
        self.tenants.append(dict(context.invocation_metadata())["ragmesh-tenant"])
        await context.abort(grpc.StatusCode.NOT_FOUND, f"there is no document {request.id}")


class Query(QueryServiceServicer):
    def __init__(self) -> None:
        self.cancelled = asyncio.Event()

    async def answer(self, request, context):
        try:
            while True:
                yield AnswerEvent(token=Token(text="word "))
                await asyncio.sleep(0.001)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


@pytest.fixture
async def served():
    """The servicers and the settings that lead to them."""
    documents, query, server = Documents(), Query(), grpc.aio.server()
    for servicer in (documents, query):
        servicer.add_to_server(server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    yield documents, query, Settings(discovery_url=f"static:document={address},query={address},admin={address}")
    await server.stop(None)


async def test_a_file_is_sent_in_pieces_and_followed_until_it_is_ready(served, tmp_path):
    documents, _, settings = served
    (tmp_path / "large.txt").write_bytes(bytes(PIECE_BYTES * 2 + 1))
    seen = []

    async with ragmesh.Client(settings) as client:
        document = await client.add(
            tmp_path / "large.txt", wait=True, watcher=lambda it: seen.append(it.state.name)
        )

    assert documents.pieces == [PIECE_BYTES, PIECE_BYTES, 1]
    assert document.state is DocumentState.READY
    assert seen == ["QUEUED", "PROCESSING", "READY"]


async def test_a_list_is_read_to_its_last_page(served):
    async with ragmesh.Client(served[2]) as client:
        assert [document.id async for document in client.list()] == ["0", "1", "2", "3", "4", "5"]


async def test_what_the_server_refuses_is_raised_as_what_it_is(served):
    async with ragmesh.Client(served[2]) as client:
        with pytest.raises(NotFound, match="no document 7"):
            await client.get("7")


async def test_a_call_is_its_clients_tenant_in_whichever_task_it_is_made(served):
    documents, _, settings = served

    async with ragmesh.Client(settings, tenant="north") as north, ragmesh.Client(settings, tenant="south") as south:
        calls = [asyncio.create_task(client.get("x")) for client in (north, south, north)]
        await asyncio.gather(*calls, return_exceptions=True)

    assert sorted(documents.tenants) == ["north", "north", "south"]


async def test_leaving_an_answer_cancels_it_on_the_server(served):
    _, query, settings = served

    async with ragmesh.Client(settings) as client:
        async with aclosing(client.answer("Tell everything.")) as events:
            async for event in events:
                assert event.token
                break
        async with asyncio.timeout(5):
            await query.cancelled.wait()


def test_importing_the_package_does_not_import_grpc():
    code = "import sys, ragmesh; sys.exit('grpc' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
