"""Instances find each other in a real Consul, and lose nobody when it goes away, forgets or refuses."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from uuid import uuid4

import aiohttp
import pytest
import trustme

import ragmesh
from ragmesh.rpc.channels import connect
from ragmesh.rpc.config import Live
from ragmesh.rpc.discovery import Endpoint, discover
from ragmesh.rpc.discovery.consul import ConsulDiscovery
from ragmesh.rpc.errors import translated
from ragmesh.rpc.server import serving
from ragmesh.settings import Settings
from ragmesh.up.plan import free_ports
from ragmesh.v1 import Document, DocumentServiceServicer, DocumentServiceStub, GetDocumentRequest
from tests import sdk_services
from tests.servers import Server, running


class Documents(DocumentServiceServicer):
    """Says who it is."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def get_document(self, request, context):
        return Document(id=self.name)


def settings_of(consul: Server, **more) -> Settings:
    return Settings(listen="127.0.0.1:0", discovery_url=consul.url, drain_s=1, zone="a", **more)


def serve(name: str, settings: Settings, service: str = "document"):
    return serving(service, [Documents(name)], Live(settings))


async def registered(consul: Server, service: str = "document") -> list[dict]:
    url = f"http://{consul.address}/v1/health/service/ragmesh-{service}?passing"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return await response.json()


async def until(condition, within_s: float = 15.0) -> None:
    async with asyncio.timeout(within_s):
        while not await condition():  # noqa: ASYNC110 it is another process's event
            await asyncio.sleep(0.05)


@asynccontextmanager
async def called(settings: Settings) -> AsyncIterator:
    """Answers who answers, and how many instances the caller knows."""
    async with connect(settings, "document") as channel:
        stub = DocumentServiceStub(channel)

        async def ask() -> str:
            with translated():
                return (await stub.get_document(GetDocumentRequest(id="any"), timeout=5)).id

        ask.channel = channel
        yield ask


async def knows(ask, *names: str) -> bool:
    return {await ask() for _ in range(12)} == set(names)


@pytest.fixture
async def own_consul(tmp_path) -> AsyncIterator[Server]:
    async with running("consul", tmp_path / "consul") as server:
        yield server


async def test_an_instance_is_registered_with_what_others_need_to_know(consul):
    async with serve("one", settings_of(consul)) as one:
        await until(lambda: _is(registered(consul), 1))

        (entry,) = await registered(consul)
        service = entry["Service"]
        assert f"{service['Address']}:{service['Port']}" == one.address
        assert set(service["Tags"]) >= {"zone=a"}
        assert service["Meta"]["version"]

    assert await registered(consul) == []


async def test_callers_hear_of_instances_that_come_and_go(consul):
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serve("one", settings_of(consul)))
        ask = await stack.enter_async_context(called(settings_of(consul)))
        await until(lambda: knows(ask, "one"))

        async with serve("two", settings_of(consul)):
            await until(lambda: knows(ask, "one", "two"))

        await until(lambda: knows(ask, "one"))


async def test_an_instance_leaves_before_it_drains_so_that_no_call_fails(consul):
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serve("stays", settings_of(consul)))
        ask = await stack.enter_async_context(called(settings_of(consul)))
        leaving = AsyncExitStack()
        await leaving.enter_async_context(serve("leaves", settings_of(consul)))
        await until(lambda: knows(ask, "stays", "leaves"))

        over = asyncio.Event()

        async def keep_asking() -> int:
            asked = 0
            while not over.is_set():
                await ask()
                asked += 1
            return asked

        asking = [asyncio.create_task(keep_asking()) for _ in range(8)]
        await leaving.aclose()
        over.set()

        assert sum(await asyncio.gather(*asking)) > 100


async def test_without_consul_the_last_known_instances_serve_on_and_are_registered_again(own_consul):
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serve("one", settings_of(own_consul)))
        ask = await stack.enter_async_context(called(settings_of(own_consul)))
        await until(lambda: knows(ask, "one"))

        await own_consul.kill()
        assert await knows(ask, "one")

        await own_consul.start()
        await stack.enter_async_context(serve("two", settings_of(own_consul)))
        await until(lambda: knows(ask, "one", "two"))


async def test_a_consul_that_forgot_everything_is_told_again(own_consul):
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(serve("one", settings_of(own_consul)))
        ask = await stack.enter_async_context(called(settings_of(own_consul)))
        await until(lambda: _is(registered(own_consul), 1))
        (entry,) = await registered(own_consul)

        url = f"http://{own_consul.address}/v1/agent/service/deregister/{entry['Service']['ID']}"
        async with aiohttp.ClientSession() as session, session.put(url) as response:
            assert response.status == 200

        assert await knows(ask, "one")
        await until(lambda: _is(registered(own_consul), 1))
        assert one.address


async def test_a_service_starts_before_consul_and_is_found_once_it_is_there(tmp_path):
    async with running("consul", tmp_path / "consul") as consul:
        await consul.kill()
        async with serve("one", settings_of(consul)):
            await consul.start()
            await until(lambda: _is(registered(consul), 1))


async def test_who_takes_a_killed_instances_address_takes_its_registration_too(consul):
    me = Endpoint("killed-before-it-could-leave", f"127.0.0.1:{free_ports(1)[0]}")
    discovery = ConsulDiscovery.of(settings_of(consul))
    async with discovery.client(timeout_s=5) as client:
        await discovery._register(client, "document", me)
    await until(lambda: _is(registered(consul), 1))

    there = settings_of(consul).model_copy(update={"listen": me.address})
    async with serve("successor", there):
        await until(lambda: _other(registered(consul), me.id))

        assert len(await registered(consul)) == 1


async def test_many_watches_do_not_delay_a_call(consul):
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serve("one", settings_of(consul)))
        await until(lambda: _is(registered(consul), 1))
        for _ in range(120):
            changes = discover(settings_of(consul)).instances("document")
            await stack.enter_async_context(aclosing(changes))
            await anext(changes)

        async with asyncio.timeout(2):
            assert len(await registered(consul)) == 1


async def test_a_token_opens_a_consul_that_is_closed_to_others(tmp_path):
    token = "8f246b77-f3e1-ff88-5b48-8ec93abf3e05"  # noqa: S105 of this test's own server
    config = tmp_path / "consul" / "config"
    config.mkdir(parents=True)
    acl = {"enabled": True, "default_policy": "deny", "tokens": {"master": token}}
    (config / "acl.json").write_text(json.dumps({"acl": acl}))
    async with running("consul", tmp_path / "consul") as consul:
        with_token = settings_of(consul, consul_token=token)
        async with serve("one", with_token), called(with_token) as ask:
            await until(lambda: _answers(ask))

        async with called(settings_of(consul)) as stranger:
            assert stranger.channel.pool.instances == []


async def test_consul_is_reached_over_tls_if_its_certificate_is_signed_by_the_authority(tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    issued = authority.issue_cert("127.0.0.1")
    config = tmp_path / "consul" / "config"
    config.mkdir(parents=True)
    issued.private_key_pem.write_to_path(str(config / "key.pem"))
    issued.cert_chain_pems[0].write_to_path(str(config / "cert.pem"))
    async with running("consul", tmp_path / "consul") as consul:
        await consul.stop()
        tls = {
            "cert_file": f"{config}/cert.pem",
            "key_file": f"{config}/key.pem",
            "ports": {"https": consul.port + 1},
        }
        (config / "tls.json").write_text(json.dumps(tls))
        await consul.start()
        over_tls = settings_of(consul).model_copy(
            update={
                "discovery_url": f"consuls://127.0.0.1:{consul.port + 1}",
                "consul_ca_file": tmp_path / "ca.pem",
            }
        )
        async with serve("one", over_tls), called(over_tls) as ask:
            await until(lambda: _answers(ask))

        untrusted = over_tls.model_copy(update={"consul_ca_file": None})
        async with called(untrusted) as ask:
            assert ask.channel.pool.instances == []


async def _is(entries, count: int) -> bool:
    return len(await entries) == count


async def _other(entries, service_id: str) -> bool:
    return service_id not in {entry["Service"]["ID"] for entry in await entries}


async def _answers(ask) -> bool:
    return bool(ask.channel.pool.instances) and await ask() == "one"


async def test_a_client_finds_all_services_by_consul_alone(consul):
    async with sdk_services.serving() as served, AsyncExitStack() as announced:
        discovery = discover(settings_of(consul))
        for service in ("document", "query", "admin"):
            me = Endpoint(f"{service}-{uuid4()}", served.address)
            await announced.enter_async_context(discovery.announced(service, me))
        async with asyncio.timeout(15), ragmesh.Client(consul.url) as client:
            assert (await client.search("ferry", timeout=10)).results
