"""A server and its callers agree on errors, deadlines, tenants and limits. Real grpc.aio on loopback throughout."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from ragmesh import errors
from ragmesh.rpc import context as calls
from ragmesh.rpc.channels import open_channel
from ragmesh.rpc.config import Live
from ragmesh.rpc.errors import translated
from ragmesh.rpc.server import serving
from ragmesh.settings import Settings
from ragmesh.v1 import (
    AnswerEvent,
    AnswerRequest,
    Document,
    DocumentServiceServicer,
    DocumentServiceStub,
    GetDocumentRequest,
    GetInstanceRequest,
    InstanceServiceStub,
    QueryServiceServicer,
    QueryServiceStub,
    Token,
    UploadDocumentRequest,
)


class Documents(DocumentServiceServicer):
    """Raises what a test asks for by the document's id, or echoes what it knows of the call."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.completed = 0

    async def get_document(self, request, context):
        if request.id == "bug":
            raise RuntimeError("secret detail")
        if request.id == "slow":
            self.entered.set()
            await asyncio.Event().wait()
        if request.id in errors.BY_CODE:
            raise errors.BY_CODE[request.id]("what was wrong", field="id", retry_after_s=2.5)
        return Document(id=calls.tenant(), name=calls.request_id(), sha256=str(calls.time_left(60)))

    async def upload_document(self, request, context):
        size = 0
        async for message in request:
            size += len(message.data or b"")
            self.entered.set()
        self.completed += 1
        return Document(size_bytes=size)


class Queries(QueryServiceServicer):
    def __init__(self) -> None:
        self.cleaned_up = asyncio.Event()

    async def answer(self, request, context):
        try:
            while True:
                yield AnswerEvent(token=Token(text="on and on "))
                await asyncio.sleep(0)
        finally:
            self.cleaned_up.set()


@asynccontextmanager
async def documents(
    servicer: Documents | None = None, **settings
) -> AsyncIterator[tuple[DocumentServiceStub, grpc.aio.Channel]]:
    configured = Settings(listen="127.0.0.1:0", **settings)
    async with (
        serving("document", [servicer or Documents()], Live(configured)) as running,
        open_channel(configured, running.address) as channel,
    ):
        yield DocumentServiceStub(channel), channel


@pytest.mark.parametrize("code", sorted(errors.BY_CODE))
async def test_an_error_crosses_the_wire_as_itself(code):
    async with documents() as (stub, _):
        with pytest.raises(errors.BY_CODE[code]) as raised, translated():
            await stub.get_document(GetDocumentRequest(id=code), timeout=5)

    assert raised.value.message == "what was wrong"
    assert (raised.value.field, raised.value.retry_after_s) == ("id", 2.5)


async def test_an_unforeseen_exception_leaks_nothing_but_its_request_id():
    async with documents() as (stub, _):
        with pytest.raises(errors.Internal) as raised, translated():
            await stub.get_document(
                GetDocumentRequest(id="bug"), timeout=5, metadata=[(calls.REQUEST_ID_KEY, "req-7")]
            )

    assert "secret" not in raised.value.message
    assert "req-7" in raised.value.message


async def test_tenant_request_id_and_deadline_travel_with_the_call():
    async with documents() as (stub, _):
        with calls.bound(tenant="acme", request_id="req-1", timeout_s=3):
            seen = await stub.get_document(GetDocumentRequest(), **calls.outgoing(timeout_s=30))

    assert (seen.id, seen.name) == ("acme", "req-1")
    assert 0 < float(seen.sha256) < 3


async def test_a_malformed_message_is_the_callers_fault():
    async with documents() as (_, channel):
        raw = channel.unary_unary("/ragmesh.v1.DocumentService/GetDocument")
        with pytest.raises(errors.InvalidArgument, match="not a message"), translated():
            await raw(b"\x0a\xff\xff", timeout=5)


async def test_a_malformed_message_in_a_stream_is_the_callers_fault():
    async with documents() as (_, channel):
        raw = channel.stream_unary("/ragmesh.v1.DocumentService/UploadDocument")
        with pytest.raises(errors.InvalidArgument, match="not a message"), translated():
            await raw(iter([bytes(UploadDocumentRequest(data=b"x")), b"\x12\xff\xff"]), timeout=5)


async def test_a_stream_that_is_cancelled_never_looks_complete():
    servicer = Documents()
    async with documents(servicer) as (stub, _):
        whole = await stub.upload_document(iter([UploadDocumentRequest(data=b"abc")]), timeout=5)
        for _ in range(100):
            servicer.entered.clear()
            call = stub.upload_document(timeout=5)
            await call.write(UploadDocumentRequest(data=b"half"))
            await servicer.entered.wait()
            call.cancel()

    assert whole.size_bytes == 3
    assert servicer.completed == 1


async def test_calls_beyond_the_limit_are_refused_with_a_hint_when_to_retry():
    servicer = Documents()
    async with documents(servicer, in_flight_max=1) as (stub, _):
        running = stub.get_document(GetDocumentRequest(id="slow"), timeout=10)
        await servicer.entered.wait()
        with pytest.raises(errors.ResourceExhausted) as raised, translated():
            await stub.get_document(GetDocumentRequest(), timeout=5)
        running.cancel()

    assert raised.value.retry_after_s


async def test_a_caller_that_leaves_stops_the_handler():
    configured = Settings(listen="127.0.0.1:0")
    queries = Queries()
    async with (
        serving("query", [queries], Live(configured)) as running,
        open_channel(configured, running.address) as channel,
    ):
        call = QueryServiceStub(channel).answer(AnswerRequest(), timeout=10)
        await anext(aiter(call))
        call.cancel()
        await asyncio.wait_for(queries.cleaned_up.wait(), timeout=5)

    assert queries.cleaned_up.is_set()


async def test_an_instance_tells_who_it_is_and_how_busy():
    async with documents() as (stub, channel):
        with pytest.raises(errors.NotFound), translated():
            await stub.get_document(GetDocumentRequest(id="NOT_FOUND"), timeout=5)
        with pytest.raises(errors.Internal), translated():
            await stub.get_document(GetDocumentRequest(id="bug"), timeout=5)
        me = await InstanceServiceStub(channel).get_instance(GetInstanceRequest(), timeout=5)
        health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)

    assert (me.service, me.requests, me.failures, me.in_flight) == ("document", 2, 1, 0)
    assert health.status == health_pb2.HealthCheckResponse.SERVING


async def test_a_method_nobody_serves_is_unimplemented():
    async with documents() as (_, channel):
        with pytest.raises(errors.Unimplemented), translated():
            await channel.unary_unary("/ragmesh.v1.DocumentService/ListDocuments")(b"", timeout=5)
