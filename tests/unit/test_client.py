"""The SDK over real gRPC, before services that remember what they were asked."""

import asyncio
import io
import os
import subprocess
import sys
from contextlib import aclosing

import pytest

import ragmesh
from ragmesh import (
    DeadlineExceeded,
    DocumentState,
    FinishReason,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    Unavailable,
)
from ragmesh.client import PIECE_BYTES
from tests.sdk_services import serving


@pytest.fixture
async def served():
    async with serving() as services:
        yield services


async def test_a_file_is_sent_in_pieces_and_followed_until_it_is_ready(served, tmp_path):
    (tmp_path / "large.txt").write_bytes(bytes(PIECE_BYTES * 2 + 1))
    seen, sent = [], []

    async with ragmesh.Client(served.settings) as client:
        document = await client.add(
            tmp_path / "large.txt", wait=True, watcher=lambda it: seen.append(it.state.name), sent=sent.append
        )

    assert served.documents.pieces == [PIECE_BYTES, PIECE_BYTES, 1]
    assert document.state is DocumentState.READY
    assert seen == ["QUEUED", "PROCESSING", "READY"]
    assert sent == [PIECE_BYTES, 2 * PIECE_BYTES, 2 * PIECE_BYTES + 1]


async def test_bytes_and_open_files_are_uploaded_as_paths_are(served, tmp_path):
    (tmp_path / "note.txt").write_text("from a path")
    pipe, end = os.pipe()
    os.write(end, b"from a pipe")
    os.close(end)

    async with ragmesh.Client(served.target) as client:
        await client.add(str(tmp_path / "note.txt"))
        await client.add(b"from bytes", name="a.txt")
        await client.add(io.BytesIO(b"from memory"), name="b.txt")
        with (tmp_path / "note.txt").open("rb") as file:
            file.seek(5)
            await client.add(file)
            assert not file.closed, "it is the caller's"
        with os.fdopen(pipe, "rb") as file:
            await client.add(file, name="c.txt")

    assert served.documents.uploads == [
        ("note.txt", b"from a path"),
        ("a.txt", b"from bytes"),
        ("b.txt", b"from memory"),
        ("note.txt", b"a path"),
        ("c.txt", b"from a pipe"),
    ]


async def test_content_that_cannot_be_uploaded_is_refused_before_anything_is_sent(served, tmp_path):
    (tmp_path / "note.txt").write_text("text")

    async with ragmesh.Client(served.target) as client:
        with pytest.raises(InvalidArgument, match="by which name"):
            await client.add(b"bytes")
        with (tmp_path / "note.txt").open() as file, pytest.raises(InvalidArgument, match="binary mode"):
            await client.add(file)  # type: ignore[arg-type]
        with pytest.raises(FileNotFoundError):
            await client.add(tmp_path / "nowhere.txt")

    assert served.documents.uploads == []


async def test_an_upload_that_breaks_off_is_sent_again_from_its_beginning(served):
    served.documents.break_off = 1

    async with ragmesh.Client(served.target) as client:
        await client.add(io.BytesIO(b"once"), name="a.txt")

    assert served.documents.uploads == [("a.txt", b"once")]


async def test_what_fails_while_a_file_is_read_is_raised_as_it_is(served):
    class Torn(io.BytesIO):
        def read(self, size=-1):
            raise OSError("the disk is gone")

    def interrupt(_: int) -> None:
        raise RuntimeError("not now")

    async with ragmesh.Client(served.target) as client:
        with pytest.raises(OSError, match="the disk is gone"):
            await client.add(Torn(b"x"), name="torn.txt")
        with pytest.raises(RuntimeError, match="not now"):
            await client.add(b"x" * PIECE_BYTES * 2, name="a.txt", sent=interrupt)


async def test_a_list_is_read_to_its_last_page(served):
    async with ragmesh.Client(served.settings) as client:
        assert [document.id async for document in client.list()] == ["0", "1", "2", "3", "4", "5"]
        assert [chunk.chunk_id async for chunk in client.chunks("1")] == ["0", "1", "2"]


async def test_what_the_server_refuses_is_raised_as_what_it_is(served):
    async with ragmesh.Client(served.settings) as client:
        with pytest.raises(NotFound, match="no document 7"):
            await client.get("7")


async def test_a_call_is_its_clients_tenant_in_whichever_task_it_is_made(served):
    settings = served.settings

    async with ragmesh.Client(settings, tenant="north") as north, ragmesh.Client(settings, tenant="south") as south:
        calls = [asyncio.create_task(client.get("x")) for client in (north, south, north)]
        await asyncio.gather(*calls, return_exceptions=True)

    tenants = [metadata["ragmesh-tenant"] for metadata in served.documents.metadata]
    assert sorted(tenants) == ["north", "north", "south"]


async def test_a_key_goes_with_every_call_and_into_no_text(served):
    async with ragmesh.Client(served.target, api_key="rm_secret") as client:
        with pytest.raises(NotFound):
            await client.get("x")

        assert served.documents.metadata[0]["authorization"] == "Bearer rm_secret"
        assert "rm_secret" not in repr(vars(client))


async def test_a_server_that_has_too_much_to_do_is_asked_again_when_it_said(served):
    served.query.busy = 2

    async with ragmesh.Client(served.target) as client:
        found = await client.search("ferry")

    assert found.results
    assert served.query.searches == 3


@pytest.mark.parametrize(("retries", "retry_after_s"), [(0, 0.01), (2, None), (2, 3600.0)])
async def test_what_no_retry_can_help_is_raised_at_once(served, retries, retry_after_s):
    served.query.busy, served.query.retry_after_s = 9, retry_after_s

    async with ragmesh.Client(served.target, retries=retries) as client:
        with pytest.raises(ResourceExhausted):
            await client.search("ferry")

    assert served.query.searches == 1


async def test_a_call_ends_by_its_own_deadline(served):
    async with ragmesh.Client(served.target) as client:
        with pytest.raises(DeadlineExceeded):
            await client.search("wait", timeout=0.05)


async def test_a_whole_answer_has_its_text_and_what_it_rests_on(served):
    async with ragmesh.Client(served.target) as client:
        answer = await client.ask("When does the ferry leave?")

    assert answer.text == "At six. [1] "
    assert [citation.chunk.document_name for citation in answer.citations] == ["ferry.md"]
    assert answer.finish_reason is FinishReason.STOP
    assert answer.usage.completion_tokens == 5


async def test_half_an_answer_is_never_taken_for_a_whole(served):
    heard = []

    async with ragmesh.Client(served.target) as client:
        answering = client.answer("Break off.")
        heard.append((await anext(answering)).token.text)
        with pytest.raises(Unavailable, match="the model is away"):
            await anext(answering)
        with pytest.raises(Unavailable, match="the model is away"):
            await client.ask("Break off.")

    assert heard == ["At"], "what came before is heard"


async def test_leaving_an_answer_cancels_it_on_the_server(served):
    async with ragmesh.Client(served.settings) as client:
        async with aclosing(client.answer("Tell everything.")) as events:
            async for event in events:
                assert event.token
                break
        async with asyncio.timeout(5):
            await served.query.cancelled.wait()


async def test_the_language_model_alone_continues_a_text(served):
    async with ragmesh.Client(served.target) as client:
        events = [event async for event in client.complete("First", max_tokens=4, stop=("end",))]

    assert events[0].token.text == "First and so on"
    assert events[-1].usage.completion_tokens == 3


def test_importing_the_package_does_not_import_grpc():
    code = "import sys, ragmesh; ragmesh.NotFound; sys.exit('grpc' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_the_package_offers_is_there():
    assert all(getattr(ragmesh, name) for name in ragmesh.__all__)
    with pytest.raises(AttributeError):
        _ = ragmesh.Nothing
