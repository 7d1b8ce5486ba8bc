"""Calls are spread over the instances of a service, and one that dies, hangs or fails costs its callers nothing."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragmesh import errors
from ragmesh.rpc.balancer import BalancedChannel, RetryBudget
from ragmesh.rpc.channels import IDEMPOTENT, open_channel
from ragmesh.rpc.config import Live
from ragmesh.rpc.discovery import Discovery, Endpoint
from ragmesh.rpc.errors import translated
from ragmesh.rpc.pool import Pool
from ragmesh.rpc.server import serving
from ragmesh.settings import Settings
from ragmesh.up.plan import free_ports
from ragmesh.v1 import (
    AnswerEvent,
    AnswerRequest,
    CreateCollectionRequest,
    Document,
    DocumentServiceServicer,
    DocumentServiceStub,
    GetDocumentRequest,
    QueryServiceServicer,
    QueryServiceStub,
    Token,
    UploadDocumentRequest,
)

LENIENCE = 2  # a busy machine is late; the bench has the figure
SETTINGS = Settings(listen="127.0.0.1:0", discovery_url="static:document=127.0.0.1:1", drain_s=0)


class Told(Discovery):
    """A discovery that says what a test tells it."""

    def __init__(self, *endpoints: Endpoint) -> None:
        self._news: asyncio.Queue[frozenset[Endpoint]] = asyncio.Queue()
        self.tell(*endpoints)

    def tell(self, *endpoints: Endpoint) -> None:
        self._news.put_nowait(frozenset(endpoints))

    async def instances(self, service):
        while True:
            yield await self._news.get()


class Documents(DocumentServiceServicer):
    """Says who it is, or what a test wants to hear."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.fault: errors.MeshError | None = None
        self.hold: asyncio.Event | None = None
        self.calls = 0

    async def get_document(self, request, context):
        self.calls += 1
        if self.hold:
            await self.hold.wait()
        if self.fault:
            raise self.fault
        return Document(id=self.name)

    async def create_collection(self, request, context):
        self.calls += 1
        await asyncio.Event().wait()

    async def upload_document(self, request, context):
        async for _ in request:
            self.calls += 1
        return Document(id=self.name)


@asynccontextmanager
async def balanced(*endpoints: Endpoint) -> AsyncIterator[tuple[DocumentServiceStub, BalancedChannel, Told]]:
    told = Told(*endpoints)
    pool = Pool("document", lambda address: open_channel(SETTINGS, address))
    async with BalancedChannel(pool, told, IDEMPOTENT) as channel:
        yield DocumentServiceStub(channel), channel, told


async def serve(stack: AsyncExitStack, servicer) -> Endpoint:
    running = await stack.enter_async_context(serving("document", [servicer], Live(SETTINGS)))
    return Endpoint(servicer.name, running.address)


async def get(stub: DocumentServiceStub, timeout: float = 5) -> str:
    with translated():
        return (await stub.get_document(GetDocumentRequest(id="any"), timeout=timeout)).id


def usable(channel: BalancedChannel) -> set[str]:
    return {instance.endpoint.id for instance in channel.pool.instances if not instance.ejected}


async def until(condition, within_s: float = 5.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 it looks at the state of many objects
            await asyncio.sleep(0.01)


async def test_calls_go_to_every_instance_and_to_the_less_busy_one():
    async with AsyncExitStack() as stack:
        busy, idle = Documents("busy"), Documents("idle")
        endpoints = [await serve(stack, one) for one in (busy, idle)]
        stub, _, _ = await stack.enter_async_context(balanced(*endpoints))
        seen = Counter([await get(stub) for _ in range(40)])
        assert set(seen) == {"busy", "idle"}

        busy.hold = asyncio.Event()
        held = [asyncio.create_task(get(stub)) for _ in range(8)]
        await until(lambda: sum(task.done() for task in held) + busy.calls - seen["busy"] == len(held))
        while busy.calls == seen["busy"]:
            held.append(asyncio.create_task(get(stub)))
            await asyncio.sleep(0.01)

        assert {await get(stub) for _ in range(20)} == {"idle"}
        busy.hold.set()
        await asyncio.gather(*held)


async def test_a_new_instance_is_called_and_one_that_left_finishes_its_calls():
    async with AsyncExitStack() as stack:
        old, new = Documents("old"), Documents("new")
        first, second = [await serve(stack, one) for one in (old, new)]
        stub, channel, told = await stack.enter_async_context(balanced(first))
        old.hold = asyncio.Event()
        running = asyncio.create_task(get(stub))
        await until(lambda: old.calls)

        told.tell(second)
        await until(lambda: usable(channel) == {"new"})

        assert {await get(stub) for _ in range(5)} == {"new"}
        old.hold.set()
        assert await running == "old"


async def test_when_nobody_is_left_the_last_known_instances_are_still_called():
    async with AsyncExitStack() as stack:
        only = Documents("only")
        stub, channel, told = await stack.enter_async_context(balanced(await serve(stack, only)))

        told.tell()
        await until(told._news.empty)

        assert await get(stub) == "only"
        assert usable(channel) == {"only"}


async def test_a_broken_connection_is_met_by_another_instance_and_ejects_the_first():
    async with AsyncExitStack() as stack:
        dead = Endpoint("dead", f"127.0.0.1:{free_ports(1)[0]}")
        stub, channel, _ = await stack.enter_async_context(balanced(dead, await serve(stack, Documents("alive"))))

        assert {await get(stub) for _ in range(20)} == {"alive"}
        assert usable(channel) == {"alive"}


async def test_an_upload_that_meets_a_dead_instance_ejects_it_though_it_is_not_sent_again():
    async with AsyncExitStack() as stack:
        dead = Endpoint("dead", f"127.0.0.1:{free_ports(1)[0]}")
        alive = await serve(stack, Documents("alive"))
        stub, channel, _ = await stack.enter_async_context(balanced(dead, alive))

        async with asyncio.timeout(10):
            while "dead" in usable(channel):
                with suppress(errors.MeshError), translated():
                    await stub.upload_document(_a_piece(), timeout=5)

        assert usable(channel) == {"alive"}


async def _a_piece() -> AsyncIterator[UploadDocumentRequest]:
    yield UploadDocumentRequest(data=b"a piece")


async def test_an_ejected_instance_comes_back_once_it_serves():
    async with AsyncExitStack() as stack:
        late = Endpoint("late", f"127.0.0.1:{free_ports(1)[0]}")
        stub, channel, _ = await stack.enter_async_context(balanced(late, await serve(stack, Documents("alive"))))
        await until(lambda: usable(channel) == {"alive"} or not asyncio.create_task(get(stub)))

        there = SETTINGS.model_copy(update={"listen": late.address})
        await stack.enter_async_context(serving("document", [Documents("late")], Live(there)))

        await until(lambda: usable(channel) == {"alive", "late"})
        assert {await get(stub) for _ in range(30)} == {"alive", "late"}


async def test_an_instance_that_keeps_failing_is_ejected_but_never_the_last_one():
    async with AsyncExitStack() as stack:
        ill, well = Documents("ill"), Documents("well")
        ill.fault = errors.Internal("it is ill")
        endpoints = [await serve(stack, one) for one in (ill, well)]
        stub, channel, _ = await stack.enter_async_context(balanced(*endpoints))

        outcomes = await asyncio.gather(*(get(stub) for _ in range(40)), return_exceptions=True)
        assert any(isinstance(outcome, errors.Internal) for outcome in outcomes)
        assert usable(channel) == {"well"}

        well.fault = errors.Internal("this one too")
        await asyncio.gather(*(get(stub) for _ in range(20)), return_exceptions=True)
        assert usable(channel) == {"well"} or usable(channel) == {"ill", "well"}


async def test_what_a_server_refuses_is_an_answer_and_not_retried():
    async with AsyncExitStack() as stack:
        one, other = Documents("one"), Documents("other")
        one.fault = other.fault = errors.Unavailable("the index is away")
        endpoints = [await serve(stack, each) for each in (one, other)]
        stub, _, _ = await stack.enter_async_context(balanced(*endpoints))

        with pytest.raises(errors.Unavailable, match="the index is away"):
            await get(stub)

        assert one.calls + other.calls == 1


async def test_an_instance_that_has_enough_to_do_is_left_alone_for_a_moment():
    async with AsyncExitStack() as stack:
        full, free = Documents("full"), Documents("free")
        full.fault = errors.ResourceExhausted("as many as are answered in time", retry_after_s=1)
        stub, _, _ = await stack.enter_async_context(balanced(*[await serve(stack, each) for each in (full, free)]))

        for _ in range(40):
            with suppress(errors.ResourceExhausted):
                await get(stub)

        assert full.calls == 1, "it refuses at once, which is not to look like having nothing to do"
        assert free.calls == 39


async def test_without_any_instance_the_caller_is_told_at_once():
    async with balanced() as (stub, _, _):
        with pytest.raises(errors.Unavailable, match="no instance of the document service"):
            await get(stub)


SERVER = """
import asyncio, sys
from ragmesh.rpc.config import Live
from ragmesh.rpc.server import serving
from ragmesh.settings import Settings
from tests.unit.test_balancer import Writing, Documents
async def main():
    settings = Settings(listen=sys.argv[1], discovery_url="static:document=127.0.0.1:1")
    async with serving("document", [Documents("child"), Writing()], Live(settings)) as running:
        await running.stopped()
asyncio.run(main())
"""


class Writing(QueryServiceServicer):
    """Writes a token, and then nothing for long."""

    async def answer(self, request, context):
        if request.question != "silence":
            yield AnswerEvent(token=Token(text="begun"))
        await asyncio.Event().wait()


@asynccontextmanager
async def child() -> AsyncIterator[tuple[Endpoint, subprocess.Popen]]:
    """An instance in a process of its own, to be killed or stopped."""
    address = f"127.0.0.1:{free_ports(1)[0]}"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SERVER, address), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout
        assert b"server.started" in await process.stdout.readline()
        yield Endpoint("child", address), process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_hung_instance_is_ejected_within_two_seconds_and_its_calls_are_made_elsewhere():
    async with AsyncExitStack() as stack:
        hung, process = await stack.enter_async_context(child())
        stub, channel, _ = await stack.enter_async_context(balanced(hung, await serve(stack, Documents("alive"))))
        await asyncio.gather(*(get(stub) for _ in range(20)))

        os.kill(process.pid, signal.SIGSTOP)
        began = time.monotonic()
        answers = await asyncio.gather(*(get(stub) for _ in range(20)))

        assert set(answers) == {"alive"}
        assert usable(channel) == {"alive"}
        assert time.monotonic() - began < 2.0 * LENIENCE
        os.kill(process.pid, signal.SIGCONT)
        await until(lambda: usable(channel) == {"alive", "child"})


async def test_a_stream_is_made_again_before_its_first_message_and_never_after():
    async with AsyncExitStack() as stack:
        dying, process = await stack.enter_async_context(child())
        _, channel, told = await stack.enter_async_context(balanced(dying))
        query = QueryServiceStub(channel)
        silent = aiter(query.answer(AnswerRequest(question="silence"), timeout=20))
        begun = aiter(query.answer(AnswerRequest(question="speak"), timeout=20))
        waiting = asyncio.create_task(anext(silent))
        await anext(begun)

        class Other(Writing):
            name = "other"

        told.tell(dying, await serve(stack, Other()))
        await until(lambda: len(channel.pool.instances) == 2)
        other = next(one for one in channel.pool.instances if one.endpoint.id == "other")
        process.kill()

        with pytest.raises(grpc.aio.AioRpcError):
            await anext(begun)
        await until(lambda: other.in_flight == 1)
        assert not waiting.done()
        waiting.cancel()


async def test_a_call_that_changes_something_is_not_made_twice():
    async with AsyncExitStack() as stack:
        dying, process = await stack.enter_async_context(child())
        other = Documents("other")
        stub, channel, told = await stack.enter_async_context(balanced(dying))
        call = asyncio.ensure_future(stub.create_collection(CreateCollectionRequest(name="a"), timeout=20))
        told.tell(dying, await serve(stack, other))
        await until(lambda: len(channel.pool.instances) == 2)
        await until(lambda: sum(one.in_flight for one in channel.pool.instances) == 1)

        process.kill()

        with pytest.raises(grpc.aio.AioRpcError):
            await call
        assert other.calls == 0


@given(st.lists(st.booleans(), max_size=300))
def test_retries_stay_within_a_tenth_of_the_calls_beyond_what_was_saved(outcomes):
    budget = RetryBudget(capacity=5, tokens=5)
    retried = 0

    for failed in outcomes:
        budget.deposit()
        retried += failed and budget.withdraw()

    assert retried <= 5 + 0.1 * len(outcomes) + 1e-6
