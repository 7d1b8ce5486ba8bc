"""The real nginx with the project's configuration, before two real gateway processes and scripted services."""

import asyncio
import io
import json
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest
import trustme

from ragmesh.client import Client
from ragmesh.errors import Unimplemented
from ragmesh.rpc.channels import open_channel
from ragmesh.rpc.context import DEFAULT_TENANT
from ragmesh.rpc.errors import translated
from ragmesh.rpc.health import SERVING, ask_health
from ragmesh.settings import Settings
from ragmesh.up.plan import free_ports
from ragmesh.v1 import (
    AccessServiceStub,
    AuthenticateRequest,
    GetInstanceRequest,
    InstanceServiceStub,
)
from tests.edge import Admin, Documents, Queries, events_of, scripted_services
from tests.integration.test_edge_process import a_gateway

START = Path(__file__).parents[2] / "deploy" / "local" / "start.sh"
UPLOAD_MAX_BYTES = 1_000_000
BURST = 20  # requests at once
PIECE = bytes(64 * 1024)


@dataclass
class Front:
    """nginx, what is behind it, and a client of it."""

    address: str
    folder: Path
    settings: Settings  # of a client that trusts its certificate
    http: aiohttp.ClientSession
    gateways: tuple[asyncio.subprocess.Process, ...]
    documents: Documents
    queries: Queries
    admin: Admin
    stop_services: Callable[[], Awaitable[None]]

    async def logged(self, *request_ids: str) -> list[dict]:
        """What the access log tells of requests. It is written after they were answered."""
        log = self.folder / "access.log"
        async with asyncio.timeout(5):
            while True:
                lines = [json.loads(line) for line in log.read_text().splitlines()]
                told = {line["request_id"]: line for line in lines}
                if told.keys() >= set(request_ids):
                    return [told[each] for each in request_ids]
                await asyncio.sleep(0.01)

    async def status(self, method: str, path: str, **kwargs) -> int:
        async with self.http.request(method, path, **kwargs) as response:
            await response.read()
            return response.status

    async def burst(self, method: str, path: str, **kwargs) -> tuple[set[int], set[str]]:
        """Many requests at once: the statuses that came, and the gateways that they came from."""
        ids = [str(uuid4()) for _ in range(BURST)]
        statuses = await asyncio.gather(
            *(self.status(method, path, headers={"X-Request-Id": each}, **kwargs) for each in ids)
        )
        return set(statuses), {line["upstream"].split(", ")[-1] for line in await self.logged(*ids)}

    def ask(self):
        return self.http.post("/v1/collections/c/answer", json={"question": "?", "stream": True})

    async def kill_gateways(self) -> None:
        for gateway in self.gateways:
            gateway.kill()
            await gateway.wait()


@asynccontextmanager
async def a_front(folder: Path) -> AsyncIterator[Front]:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with AsyncExitStack() as behind:
        services, servicers = await behind.enter_async_context(scripted_services())
        async with (
            a_gateway(services) as (first, first_url),
            a_gateway(services) as (second, second_url),
            nginx(authority, folder, [first_url, second_url], services) as address,
            aiohttp.ClientSession(f"https://{address}", connector=aiohttp.TCPConnector(ssl=trusting)) as http,
        ):
            places = ",".join(f"{name}={address}" for name in ("document", "query", "admin"))
            settings = Settings(discovery_url=f"static:{places}", tls_ca_file=folder / "ca.pem")
            yield Front(address, folder / "nginx", settings, http, (first, second), *servicers, behind.aclose)


@pytest.fixture(scope="module")
async def shared_front(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Front]:
    async with a_front(tmp_path_factory.mktemp("front")) as front:
        yield front


@pytest.fixture
def front(shared_front: Front) -> Front:
    """All parts are there, and the services know nothing of earlier tests."""
    for servicer in (shared_front.documents, shared_front.queries, shared_front.admin):
        servicer.__init__()
    return shared_front


@pytest.fixture
async def doomed(tmp_path: Path) -> AsyncIterator[Front]:
    """One whose parts a test may kill."""
    async with a_front(tmp_path) as front:
        yield front


@asynccontextmanager
async def nginx(authority: trustme.CA, folder: Path, gateways: list[str], services: str) -> AsyncIterator[str]:
    """nginx as deploy/local starts it, found at the address that comes."""
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))
    (folder / "cert.pem").write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    port = free_ports(1)[0]
    told = {
        "GATEWAYS": " ".join(url.removeprefix("http://") for url in gateways),
        "DOCUMENT": services,
        "QUERY": services,
        "ADMIN": services,
        "CERTIFICATE": str(folder / "cert.pem"),
        "KEY": str(folder / "key.pem"),
        "UPLOAD_MAX_BYTES": str(UPLOAD_MAX_BYTES),
    }
    process = await asyncio.create_subprocess_exec(
        *(str(START), "nginx", str(folder / "nginx"), str(port)),
        env=os.environ | told,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        await _listening(process, port)
        yield f"127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.terminate()
        _, said = await process.communicate()
    assert complaints(said) == []


def complaints(said: bytes) -> list[bytes]:
    """What nginx has to complain of, but for a low limit of this machine, and a spelling that 1.22 needs."""
    accepted = (b"setrlimit", b'"listen ... http2" directive is deprecated', b"syntax is ok", b"is successful")
    return [line for line in said.splitlines() if not any(each in line for each in accepted)]


async def _listening(process: asyncio.subprocess.Process, port: int) -> None:
    async with asyncio.timeout(10):
        while process.returncode is None:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)  # nothing tells that it listens
                continue
            writer.close()
            return
    assert process.stderr
    raise AssertionError(f"nginx ended:\n{(await process.stderr.read()).decode()}")


async def test_nginx_finds_nothing_to_complain_of_in_the_configuration(front):
    program = await asyncio.create_subprocess_exec(
        *("bash", "-c", 'source "$0" && "$(nginx_program)" -t -e stderr -p "$1" -c "$1/nginx.conf"'),
        *(str(START.with_name("places.sh")), str(front.folder)),
        stderr=asyncio.subprocess.PIPE,
    )

    _, said = await program.communicate()

    assert (program.returncode, complaints(said)) == (0, [])


async def test_an_answer_comes_event_by_event(front):
    front.queries.hold_at = 2
    front.queries.hold.clear()

    async with front.ask() as response:
        first = await asyncio.wait_for(response.content.readuntil(b"\n\n"), 5)
        second = await asyncio.wait_for(response.content.readuntil(b"\n\n"), 5)
        assert front.queries.sent <= 2, "the rest was not made yet"
        front.queries.hold.set()
        rest = await events_of(response)

    assert first.startswith(b"event: sources")
    assert second.startswith(b"event: token")
    assert [name for name, _ in rest] == ["token", "usage", "done"]
    assert "X-Accel-Buffering" not in response.headers


async def test_a_ping_comes_through_while_nothing_happens(front):
    front.queries.hold_at = 0
    front.queries.hold.clear()

    async with front.ask() as response:
        assert await asyncio.wait_for(response.content.readline(), 15) == b": ping\n"


async def test_a_reader_that_leaves_ends_the_call(front):
    front.queries.hold.clear()

    async with front.ask() as response:
        await response.content.readuntil(b"\n\n")
        response.connection.transport.abort()  # close() would wait for half a minute for TLS to say good-bye
        await asyncio.wait_for(front.queries.left.wait(), 5)


async def test_an_upload_goes_through_as_it_arrives(front):
    async def body() -> AsyncIterator[bytes]:
        for _ in range(5):  # what the gateway sends on in one piece
            yield PIECE
        await asyncio.wait_for(front.documents.arrived.wait(), 5)
        assert not front.documents.completed.is_set()
        yield PIECE

    async with front.http.post("/v1/collections/c/documents?name=a.md", data=body()) as response:
        assert response.status == 202

    assert sum(len(message.data or b"") for message in front.documents.received) == 6 * len(PIECE)


async def test_an_upload_that_breaks_off_ends_the_call(front):
    async def body() -> AsyncIterator[bytes]:
        yield PIECE
        await front.documents.arrived.wait()
        raise ConnectionError("the sender went away")

    with pytest.raises((ConnectionError, aiohttp.ClientError)):
        await front.status("POST", "/v1/collections/c/documents?name=a.md", data=body())

    await asyncio.wait_for(front.documents.broken_off.wait(), 5)


async def test_what_is_too_large_is_refused_as_a_problem(front):
    too_large = bytes(UPLOAD_MAX_BYTES + 200_000)
    async with front.http.post("/v1/collections/c/documents?name=a.md", data=io.BytesIO(too_large)) as response:
        problem = await response.json(content_type="application/problem+json")
    searched = await front.status("POST", "/v1/collections/c/search", data=io.BytesIO(bytes(3_000_000)))
    taken = await front.status(
        "POST", "/v1/collections/c/documents?name=a.md", data=io.BytesIO(bytes(UPLOAD_MAX_BYTES))
    )

    assert (response.status, problem["status"], searched, taken) == (413, 413, 413, 202)


async def test_the_sdk_works_through_nginx_over_tls(front):
    async with Client(front.settings) as client:
        found = await client.search("tea", collection="c")
        answer = [event async for event in client.answer("?", collection="c")]
        mesh = await client.mesh()
        document = await client.get("d")

    assert found.results[0].chunk.text == "tea"
    assert "".join(event.token.text for event in answer if event.token) == "Jasmine tea. [1]"
    assert mesh.instances[0].id == "i"
    assert document.id == "d"


async def test_a_grpc_stream_comes_message_by_message_and_is_cancelled_with_its_reader(front):
    front.queries.hold.clear()

    async with Client(front.settings) as client:
        answer = client.answer("?", collection="c")
        assert (await asyncio.wait_for(anext(answer), 5)).sources
        await answer.aclose()
        await asyncio.wait_for(front.queries.left.wait(), 5)


async def test_services_are_asked_for_their_health_but_not_for_what_is_theirs(front):
    async with open_channel(front.settings, front.address) as channel:
        assert await ask_health(channel, 5) == SERVING
        with pytest.raises(Unimplemented), translated():
            await InstanceServiceStub(channel).get_instance(GetInstanceRequest(), timeout=5)
        with pytest.raises(Unimplemented), translated():
            await AccessServiceStub(channel).authenticate(AuthenticateRequest(), timeout=5)


async def test_a_tenant_cannot_be_named_from_outside(front):
    async with Client(front.settings, tenant="somebody-else") as client:
        await client.search("tea", collection="c")

    assert front.queries.tenants == {DEFAULT_TENANT}


async def test_both_gateways_are_used_and_one_may_be_killed_without_a_failed_request(doomed):
    everything_well, used = await doomed.burst("GET", "/v1/documents/d")
    assert (everything_well, len(used)) == ({200}, 2)

    reading = asyncio.gather(*(doomed.burst("GET", "/v1/documents/d") for _ in range(5)))
    await doomed.http.get("/v1/documents/d")
    doomed.gateways[0].kill()
    assert {status for statuses, _ in await reading for status in statuses} == {200}
    read, survivors = await doomed.burst("GET", "/v1/documents/d")
    searched, _ = await doomed.burst("POST", "/v1/collections/c/search", json={"query": "tea"})

    assert (read, searched, len(survivors)) == ({200}, {200}, 1)


async def test_a_question_that_was_being_answered_is_not_asked_again_and_says_that_it_may_be(doomed):
    doomed.queries.hold_at = 0
    doomed.queries.hold.clear()

    asking = asyncio.create_task(doomed.status("POST", "/v1/collections/c/answer", json={"question": "?"}))
    await asyncio.wait_for(doomed.queries.entered.wait(), 5)
    await doomed.kill_gateways()

    assert await asyncio.wait_for(asking, 10) == 503
    assert len(doomed.queries.asked) == 1


async def test_without_gateways_and_services_callers_hear_that_they_may_try_again(doomed):
    await doomed.kill_gateways()
    await doomed.stop_services()

    async with doomed.http.get("/v1/documents/d", headers={"X-Request-Id": "mine"}) as response:
        problem = await response.json(content_type="application/problem+json")
    async with open_channel(doomed.settings, doomed.address) as channel:
        health = await ask_health(channel, 5)

    assert (response.status, response.headers["Retry-After"]) == (503, "1")
    assert (problem["code"], problem["request_id"]) == ("UNAVAILABLE", "mine")
    assert health == "UNAVAILABLE"


async def test_a_request_keeps_its_id_and_leaves_no_secret_in_the_log(front):
    secret = {"X-Request-Id": "mine.1", "Authorization": "Bearer rm_secret"}
    async with front.http.get("/v1/documents/d?note=rm_secret", headers=secret) as response:
        assert response.headers.getall("X-Request-Id") == ["mine.1"]
        assert response.headers.getall("X-Content-Type-Options") == ["nosniff"]
        assert "Strict-Transport-Security" in response.headers
        assert response.headers["Server"] == "nginx"
    async with front.http.get("/v1/documents/d", headers={"X-Request-Id": 'a"b'}) as response:
        made = response.headers["X-Request-Id"]

    first, second = await front.logged("mine.1", made)
    assert (first["request_id"], first["path"], first["status"]) == ("mine.1", "/v1/documents/d", "200")
    assert (second["status"], made == 'a"b') == ("200", False)
    assert "rm_secret" not in (front.folder / "access.log").read_text()


async def test_metrics_are_for_the_inside(front):
    assert await front.status("GET", "/metrics") == 404


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")  # it is old, that is the point
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
async def test_old_tls_is_refused(front, version):
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = version
    host, port = front.address.split(":")

    with pytest.raises(ssl.SSLError):
        await asyncio.open_connection(host, int(port), ssl=old)
