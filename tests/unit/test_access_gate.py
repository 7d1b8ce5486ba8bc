"""Who is let in to a gRPC server, over real grpc.aio; and that no RPC was forgotten."""

import asyncio
import time
from contextlib import asynccontextmanager
from importlib.resources import files

import pytest
import trustme
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_health.v1 import health_pb2, health_pb2_grpc

from ragmesh import errors
from ragmesh.access import ANYBODY, NOBODY, Identity, Scope
from ragmesh.rpc import context as calls
from ragmesh.rpc.auth.credentials import BELIEVED_MAX, Credentials
from ragmesh.rpc.auth.exposure import Exposed, is_loopback
from ragmesh.rpc.auth.gate import Guard
from ragmesh.rpc.auth.needs import NEEDS
from ragmesh.rpc.auth.present import by_key, present_of
from ragmesh.rpc.auth.tokens import Signer
from ragmesh.rpc.channels import IDEMPOTENT, open_channel
from ragmesh.rpc.config import Live
from ragmesh.rpc.errors import translated
from ragmesh.rpc.server import serving
from ragmesh.settings import Settings
from ragmesh.v1 import (
    AnswerEvent,
    ChatRequest,
    DeleteDocumentRequest,
    Document,
    DocumentServiceServicer,
    DocumentServiceStub,
    GetDocumentRequest,
    GetInstanceRequest,
    InstanceServiceStub,
    QueryServiceServicer,
    QueryServiceStub,
    ResolveDocumentsRequest,
    ResolveDocumentsResponse,
)

SECRET = "a" * 32
READER = Identity("acme", frozenset({Scope.READ}), "key-1")
KEYS = {"rm_reader": READER}


class Documents(DocumentServiceServicer):
    async def get_document(self, request, context):
        return Document(id=calls.tenant(), name=calls.identity().subject)

    async def delete_document(self, request, context):
        raise AssertionError("nobody here may delete")

    async def resolve_documents(self, request, context):
        return ResolveDocumentsResponse()


class Conversations(QueryServiceServicer):
    async def chat(self, request, context):
        async for _ in request:
            yield AnswerEvent()


async def check_key(key: str) -> Identity:
    if key not in KEYS:
        raise errors.Unauthenticated("the API key is not known")
    return KEYS[key]


@asynccontextmanager
async def a_server(**settings):
    configured = Settings(listen="127.0.0.1:0", **({"auth": "required", "service_secret": SECRET} | settings))
    async with (
        serving("document", [Documents()], Live(configured), check_key=check_key) as running,
        open_channel(configured, running.address) as channel,
    ):
        yield channel


async def get(channel, *metadata: tuple[str, str]) -> Document:
    with translated():
        return await DocumentServiceStub(channel).get_document(
            GetDocumentRequest(), timeout=5, metadata=list(metadata)
        )


def methods_of_the_contract() -> set[str]:
    image = FileDescriptorSet.FromString(files("ragmesh.v1").joinpath("descriptors.binpb").read_bytes())
    return {
        f"/{file.package}.{service.name}/{method.name}"
        for file in image.file
        for service in file.service
        for method in service.method
    }


def test_every_rpc_says_what_it_needs_and_none_is_named_that_is_not_there():
    assert NEEDS.keys() == methods_of_the_contract()
    assert NEEDS.keys() >= IDEMPOTENT


async def test_an_rpc_that_is_not_in_the_table_is_refused_to_everybody():
    guard = Guard(Signer(SECRET), Credentials(check_key, None, 10))

    with pytest.raises(errors.PermissionDenied, match="not in the table"):
        await guard.admit("/ragmesh.v1.QueryService/Forgotten", dict([Signer(SECRET).present(ANYBODY)]))


async def test_a_key_opens_what_its_scopes_allow_for_its_own_tenant():
    async with a_server() as channel:
        seen = await get(channel, by_key("rm_reader")(NOBODY), ("ragmesh-tenant", "other"))

        assert (seen.id, seen.name) == ("acme", "key-1")
        with pytest.raises(errors.PermissionDenied, match="scope write"), translated():
            await DocumentServiceStub(channel).delete_document(
                DeleteDocumentRequest(), timeout=5, metadata=[by_key("rm_reader")(NOBODY)]
            )


@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("ragmesh-tenant", "acme"),),
        (("authorization", "Bearer rm_unknown"),),
        (("authorization", "Basic cm1fcmVhZGVyOg=="),),
        (("authorization", "rm_reader"),),
        (("authorization", "Bearer not.a.jwt"),),
        (("authorization", "Bearer " + Signer(SECRET).token(READER)),),  # not where a service token belongs
        (Signer("b" * 32).present(READER),),
        (Signer("b" * 32).present(READER), ("authorization", "Bearer rm_reader")),
    ],
    ids=str,
)
async def test_nobody_else_is_let_in(metadata):
    async with a_server() as channel:
        with pytest.raises(errors.Unauthenticated):
            await get(channel, *metadata)


async def test_a_conversation_that_outlives_its_key_ends_with_its_next_question():
    keys = dict(KEYS)

    async def check(key: str) -> Identity:
        if key not in keys:
            raise errors.Unauthenticated("the API key is revoked")
        return keys[key]

    settings = Settings(listen="127.0.0.1:0", auth="required", service_secret=SECRET, auth_cache_s=0.05)
    async with (
        serving("query", [Conversations()], Live(settings), check_key=check) as running,
        open_channel(settings, running.address) as channel,
    ):
        call = QueryServiceStub(channel).chat(timeout=5, metadata=[by_key("rm_reader")(NOBODY)])
        await call.write(ChatRequest())
        assert await call.read() == AnswerEvent()
        del keys["rm_reader"]
        await asyncio.sleep(0.1)  # longer than a key is believed

        await call.write(ChatRequest())
        with pytest.raises(errors.Unauthenticated, match="revoked"), translated():
            await call.read()


async def test_parts_of_the_mesh_forward_whose_call_it_is_and_no_more_than_that_caller_may():
    async with a_server() as channel:
        forwarded = Signer(SECRET).present(READER)

        assert (await get(channel, forwarded)).id == "acme"
        with pytest.raises(errors.PermissionDenied), translated():
            await DocumentServiceStub(channel).delete_document(
                DeleteDocumentRequest(), timeout=5, metadata=[forwarded]
            )


async def test_what_is_spoken_inside_the_mesh_takes_a_service_token_and_no_key():
    async with a_server() as channel:
        documents, instance = DocumentServiceStub(channel), InstanceServiceStub(channel)
        for call, request in (
            (documents.resolve_documents, ResolveDocumentsRequest()),
            (instance.get_instance, GetInstanceRequest()),
        ):
            with pytest.raises(errors.Unauthenticated), translated():
                await call(request, timeout=5, metadata=[by_key("rm_reader")(NOBODY)])
            await call(request, timeout=5, metadata=[Signer(SECRET).present(READER)])


async def test_certificates_and_tokens_go_together_and_neither_is_enough_alone(tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    stranger, secret = {"tls_ca_file": tmp_path / "ca.pem"}, {"auth": "required", "service_secret": SECRET}
    part = stranger | {"tls_key_file": tmp_path / "key.pem", "tls_cert_file": tmp_path / "cert.pem"}
    async with (
        serving("document", [Documents()], Live(Settings(**part, **secret)), check_key=check_key) as running,
        open_channel(Settings(**part), running.address) as channel,
        open_channel(Settings(**stranger), running.address) as without_certificate,
    ):
        assert (await get(channel, Signer(SECRET).present(READER))).id == "acme"
        with pytest.raises(errors.Unauthenticated):
            await get(channel)
        with pytest.raises(errors.Unavailable):
            await get(without_certificate, Signer(SECRET).present(READER))


async def test_health_is_open():
    async with a_server() as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)

    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_an_open_server_believes_the_tenant_that_is_named():
    async with a_server(auth="open", service_secret="") as channel:
        assert (await get(channel, ("ragmesh-tenant", "acme"))).id == "acme"
        assert (await get(channel)).id == "default"


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0", ":0", "example.org:0"])
async def test_an_open_server_is_not_started_where_others_reach_it(listen):
    with pytest.raises(Exposed, match="RAGMESH_AUTH=required"):
        async with serving("document", [], Live(Settings(listen=listen))):
            pass


def test_loopback_is_known_by_its_address():
    assert all(map(is_loopback, ("127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost")))
    assert not any(map(is_loopback, ("", "0.0.0.0", "::", "10.0.0.1", "localhost.example.org", "::ffff:10.0.0.1")))


async def test_a_key_is_checked_once_in_a_while_however_many_calls_come_with_it():
    asked = []

    async def slowly(key: str) -> Identity:
        asked.append(key)
        await asyncio.sleep(0.01)
        return await check_key(key)

    credentials = Credentials(slowly, None, cache_s=0.2)
    await asyncio.gather(*(credentials.identity("rm_reader") for _ in range(50)))
    refused = await asyncio.gather(*(credentials.identity("rm_wrong") for _ in range(50)), return_exceptions=True)
    assert {type(one) for one in refused} == {errors.Unauthenticated}
    assert asked == ["rm_reader", "rm_wrong"]

    until = time.monotonic() + 5
    while len(asked) == 2 and time.monotonic() < until:
        await credentials.identity("rm_reader")
        await asyncio.sleep(0.02)
    assert asked[2:] == ["rm_reader"]


async def test_a_caller_that_leaves_does_not_end_the_check_for_the_others():
    checking, answer = asyncio.Event(), asyncio.Event()

    async def slowly(key: str) -> Identity:
        checking.set()
        await answer.wait()
        return READER

    credentials = Credentials(slowly, None, cache_s=10)
    first, second = (asyncio.create_task(credentials.identity("rm_x")) for _ in range(2))
    await checking.wait()
    first.cancel()
    answer.set()

    assert await second == READER


async def test_that_keys_can_t_be_checked_now_is_not_remembered():
    answers = [errors.Unavailable("the admin service is away"), None]

    async def check(key: str) -> Identity:
        if error := answers.pop(0):
            raise error
        return READER

    credentials = Credentials(check, None, cache_s=10)
    with pytest.raises(errors.Unavailable):
        await credentials.identity("rm_x")

    assert await credentials.identity("rm_x") == READER


@pytest.mark.parametrize("credential", ["rm_" + "x" * 10_000, "rm_ключ", ""], ids=["long", "not ASCII", "empty"])
async def test_what_can_t_be_a_credential_is_refused_unasked(credential):
    asked = []
    with pytest.raises(errors.Unauthenticated):
        await Credentials(asked.append, None, cache_s=10).identity(credential)

    assert asked == []


async def test_what_is_remembered_of_credentials_is_bounded():
    credentials = Credentials(check_key, None, cache_s=10)
    for number in range(BELIEVED_MAX + 10):
        with pytest.raises(errors.Unauthenticated):
            await credentials.identity(f"rm_{number}")

    assert len(credentials._checks) == BELIEVED_MAX


def test_the_sdk_presents_its_key_or_the_secret_of_the_mesh_or_a_bare_name():
    key, secret = {"api_key": "rm_x"}, {"auth": "required", "service_secret": SECRET}

    presented = [present_of(Settings(**given))(READER)[0] for given in (key, key | secret, secret, {})]

    assert presented == ["authorization", "authorization", "ragmesh-service-token", "ragmesh-tenant"]
