"""Ingestion over real SQLite, files and gRPC. Models, vectors and parsing are in memory, to fail on cue."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ragmesh.errors import InvalidArgument, NotFound, Unavailable
from ragmesh.rpc.context import outgoing
from ragmesh.rpc.errors import translated
from ragmesh.v1 import (
    DeleteDocumentRequest,
    Document,
    DocumentState,
    GetCollectionRequest,
    GetDocumentRequest,
    ReprocessDocumentRequest,
    Stage,
)
from tests.documents import House, house, until


@pytest.fixture
async def home(tmp_path: Path, database_url: str) -> AsyncIterator[House]:
    async with house(tmp_path, database_url=database_url) as opened:
        yield opened


async def settled(home: House, document: Document) -> Document:
    return (await home.watched(document.id))[-1]


async def delete(home: House, document: Document) -> None:
    with translated():
        await home.stub.delete_document(DeleteDocumentRequest(id=document.id), **outgoing(10))


async def reprocess(home: House, document: Document) -> Document:
    with translated():
        return await home.stub.reprocess_document(ReprocessDocumentRequest(id=document.id), **outgoing(10))


async def revision(home: House) -> tuple[int, int, int]:
    with translated():
        found = await home.stub.get_collection(GetCollectionRequest(), **outgoing(10))
    return found.revision, found.document_count, found.chunk_count


async def test_an_uploaded_document_becomes_searchable(home: House):
    before, *_ = await revision(home)
    document = await home.upload(b"one\ntwo\nthree", metadata={"team": "b"})

    async with home.working():
        ready = await settled(home, document)

    assert (ready.state, ready.chunk_count, ready.progress) == (DocumentState.READY, 3, 1.0)
    assert (ready.content_type, ready.attempts, ready.error) == ("text/plain", 1, None)
    assert [chunk.text for chunk in home.vectors.of(document.id)] == ["one", "two", "three"]
    assert home.vectors.of(document.id)[0].metadata == {"team": "b"}
    assert await home.live(document.id) == {document.id: 1}
    assert await revision(home) == (before + 1, 1, 3)


async def test_watching_shows_the_way_from_queued_to_ready(home: House):
    document = await home.upload(b"one")
    watching = asyncio.create_task(home.watched(document.id))
    hold = asyncio.Event()
    home.cutter.faults.plan(hold)

    async with home.working():
        await home.cutter.faults.met.wait()
        await asyncio.sleep(0.5)
        hold.set()
        states = [seen.state for seen in await watching]

    assert states[0] == DocumentState.QUEUED
    assert states[-2:] == [DocumentState.PROCESSING, DocumentState.READY]


async def test_many_small_documents_share_embedding_batches(tmp_path: Path):
    async with house(tmp_path, ingest_concurrency=16) as home:
        hold = asyncio.Event()
        home.embedder.faults.plan(*[hold] * 3)  # as many as the worker embeds at once
        documents = [await home.upload(b"text", f"{i}.txt") for i in range(16)]

        async with home.working():
            await until(lambda: home.cutter.cut == len(documents))
            hold.set()
            ended = await asyncio.gather(*(settled(home, document) for document in documents))

    assert {one.state for one in ended} == {DocumentState.READY}
    assert len(home.embedder.batches) <= 6


async def test_a_file_that_cannot_be_read_fails_at_once_and_says_why(home: House):
    document = await home.upload(b"broken", "b.pdf")

    async with home.working():
        failed = await settled(home, document)

    assert (failed.state, failed.attempts) == (DocumentState.FAILED, 1)
    assert failed.error is not None
    assert (failed.error.stage, failed.error.code, failed.error.retriable) == (Stage.PARSE, "broken", False)
    assert "upload it again" in failed.error.message
    assert await home.live(document.id) == {}


async def test_a_transient_fault_is_retried(home: House):
    home.embedder.faults.plan(Unavailable("no models"))
    home.vectors.faults.plan(Unavailable("no vectors"))
    document = await home.upload(b"one")

    async with home.working():
        ready = await settled(home, document)

    assert (ready.state, ready.attempts, ready.error) == (DocumentState.READY, 3, None)


async def test_a_fault_that_lasts_is_given_up_with_its_reason_and_can_be_reprocessed(home: House):
    home.embedder.faults.plan(*(Unavailable("the embedder is away") for _ in range(3)))
    document = await home.upload(b"one")

    async with home.working():
        failed = await settled(home, document)
        again = await reprocess(home, document)
        ready = await settled(home, document)

    assert (failed.state, failed.attempts) == (DocumentState.FAILED, 3)
    assert failed.error is not None
    assert (failed.error.stage, failed.error.code) == (Stage.EMBED, "embed_unavailable")
    assert failed.error.retriable
    assert (again.state, again.generation, again.attempts) == (DocumentState.QUEUED, 2, 0)
    assert (ready.state, ready.generation) == (DocumentState.READY, 2)


async def test_one_refused_text_fails_its_own_document_only(tmp_path: Path):
    async with house(tmp_path, ingest_concurrency=8) as home:
        refused = InvalidArgument("too odd")
        home.embedder.faults.plan(refused, refused)  # the shared batch, then the first text alone
        documents = [await home.upload(b"text", f"{i}.txt") for i in range(8)]

        async with home.working():
            ended = await asyncio.gather(*(settled(home, document) for document in documents))

    states = [one.state for one in ended]
    assert states.count(DocumentState.READY) >= 6


async def test_reprocessing_keeps_the_old_generation_until_the_new_one_is_ready(home: House):
    document = await home.upload(b"one\ntwo")
    async with home.working():
        await settled(home, document)
        hold = asyncio.Event()
        home.cutter.faults.plan(hold)
        await reprocess(home, document)
        await home.cutter.faults.met.wait()

        during = await home.live(document.id)
        hold.set()
        await settled(home, document)

        assert during == {document.id: 1}
        assert await home.live(document.id) == {document.id: 2}
        await until(lambda: {chunk.generation for chunk in home.vectors.of(document.id)} == {2})


async def test_a_failed_reprocessing_leaves_the_old_generation_searchable(home: House):
    document = await home.upload(b"one")
    async with home.working():
        await settled(home, document)
        home.embedder.faults.plan(InvalidArgument("no"))
        await reprocess(home, document)
        failed = await settled(home, document)

    assert (failed.state, failed.chunk_count) == (DocumentState.FAILED, 1)
    assert await home.live(document.id) == {document.id: 1}


async def test_reprocessing_twice_is_reprocessing_once_while_a_generation_is_in_the_making(home: House):
    document = await home.upload(b"one")
    assert (await reprocess(home, document)).generation == 1  # its first is queued still
    async with home.working():
        await settled(home, document)
        hold = asyncio.Event()
        home.cutter.faults.plan(hold)

        generations = [(await reprocess(home, document)).generation]
        await home.cutter.faults.met.wait()
        generations.append((await reprocess(home, document)).generation)
        hold.set()
        ready = await settled(home, document)

    assert [*generations, ready.generation] == [2, 2, 2]
    assert ready.state == DocumentState.READY


async def test_a_deleted_document_is_gone_for_good(home: House):
    document = await home.upload(b"one\ntwo")
    async with home.working():
        await settled(home, document)
    before, *_ = await revision(home)

    await delete(home, document)

    assert await home.live(document.id) == {}
    assert home.vectors.of(document.id) == []
    assert list(home.blobs.iterdir()) == []
    assert await revision(home) == (before + 1, 0, 0)
    with pytest.raises(NotFound), translated():
        await home.stub.get_document(GetDocumentRequest(id=document.id), **outgoing(10))


@pytest.mark.parametrize("part", ["cutter", "embedder", "vectors"])
async def test_deleting_while_a_worker_is_at_it_leaves_nothing(home: House, part: str):
    hold = asyncio.Event()
    getattr(home, part).faults.plan(hold)
    document = await home.upload(b"one\ntwo")

    async with home.working():
        await getattr(home, part).faults.met.wait()
        await delete(home, document)
        assert await home.live(document.id) == {}
        hold.set()
        await until(lambda: not list(home.blobs.iterdir()))
        again = await home.upload(b"one\ntwo")
        assert again.id != document.id
        assert (await settled(home, again)).state == DocumentState.READY
        await until(lambda: not home.vectors.of(document.id))


async def test_a_document_of_a_stopped_worker_is_taken_over(home: House):
    home.cutter.faults.plan(asyncio.Event())
    document = await home.upload(b"one")
    async with home.working():
        await home.cutter.faults.met.wait()

    async with home.working():
        ready = await settled(home, document)

    assert ready.state == DocumentState.READY
    assert ready.attempts == 1  # a try that was given back does not count
