"""The client without async: the same surface, and streams that end when they are left."""

import asyncio
import inspect
import signal
import sys
import threading

import pytest

import ragmesh
from ragmesh.errors import FailedPrecondition, NotFound, Unavailable
from tests.sdk_services import serving


@pytest.fixture
async def served():
    async with serving() as services:
        yield services


def public(kind: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(kind, callable) if not name.startswith("_")}


def test_both_clients_can_do_the_same():
    assert public(ragmesh.SyncClient) == public(ragmesh.Client)
    assert public(ragmesh.SyncChat) == public(ragmesh.Chat)
    assert inspect.signature(ragmesh.SyncClient.__init__) == inspect.signature(ragmesh.Client.__init__)
    assert ragmesh.SyncClient.search.__doc__ == ragmesh.Client.search.__doc__


async def test_calls_answer_and_iterators_iterate(served):
    def work():
        with ragmesh.SyncClient(served.target) as client:
            with pytest.raises(NotFound, match="no document 7"):
                client.get("7")
            with pytest.raises(Unavailable, match="the model is away"):
                list(client.answer("Break off."))
            return (
                client.add(b"text", name="a.txt", wait=True).state.name,
                [document.id for document in client.list()],
                client.ask("When?").text,
                "".join(event.token.text for event in client.answer("When?") if event.token),
            )

    assert await asyncio.to_thread(work) == ("READY", list("012345"), "At six. [1] ", "At six. [1] ")


async def test_leaving_a_loop_ends_the_stream(served):
    def work():
        with ragmesh.SyncClient(served.target) as client:
            for _ in client.answer("Tell everything."):
                break
            return client.ask("When?").text  # the client goes on

    assert await asyncio.to_thread(work)
    async with asyncio.timeout(5):
        await served.query.cancelled.wait()


async def test_a_conversation_goes_on_without_async(served):
    def work():
        with ragmesh.SyncClient(served.target) as client, client.chat() as chat:
            for question in ("When?", "And on Sundays?"):
                list(chat.ask(question))
            for _ in chat.ask("Tell everything."):
                break
            return [turn.text for turn in chat.history]

    assert len(await asyncio.to_thread(work)) == 4


async def test_several_threads_share_a_client_and_several_clients_a_process(served):
    def search(client: ragmesh.SyncClient) -> int:
        return len(client.search("ferry").results)

    def work() -> list[int]:
        with ragmesh.SyncClient(served.target) as one, ragmesh.SyncClient(served.target) as other:
            return [search(one), search(other)]

    async with ragmesh.Client(served.target) as client:
        found = await asyncio.gather(*(asyncio.to_thread(work) for _ in range(4)), client.search("ferry"))

    assert [count for counts in found[:-1] for count in counts] == [1] * 8
    assert found[-1].results


async def test_nothing_is_left_running_once_a_client_is_closed(served):
    def work() -> None:
        with ragmesh.SyncClient(served.target) as client:
            client.search("ferry")
        with pytest.raises(FailedPrecondition, match="inside `with SyncClient"):
            client.search("ferry")

    await asyncio.to_thread(work)

    assert not [thread for thread in threading.enumerate() if thread.name == "ragmesh"]


INTERRUPTED = """
import sys
from ragmesh import SyncClient

with SyncClient(sys.argv[1]) as client:
    answering = client.answer("Tell everything.")
    next(answering)
    print("begun", flush=True)
    try:
        while True:
            next(answering)
    except KeyboardInterrupt:
        answering.close()
        print(client.ask("When?").text.strip(), flush=True)
"""


async def test_ctrl_c_cancels_the_call_that_is_waited_for_and_the_client_goes_on(served):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", INTERRUPTED, served.target),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    async with asyncio.timeout(30):
        await process.stdout.readline()
        process.send_signal(signal.SIGINT)
        said, errors = await process.communicate()
        await served.query.cancelled.wait()

    assert (said.decode(), errors.decode()) == ("At six. [1]\n", "")
