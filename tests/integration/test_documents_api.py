"""The document service's contract over real gRPC, SQLite and files."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ragmesh.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from ragmesh.rpc.context import bound, outgoing
from ragmesh.rpc.errors import translated
from ragmesh.v1 import (
    CreateCollectionRequest,
    DeleteCollectionRequest,
    DeleteDocumentRequest,
    DocumentState,
    DownloadDocumentRequest,
    GetCollectionRequest,
    GetDocumentRequest,
    GetIngestStatsRequest,
    ListCollectionsRequest,
    ListDocumentsRequest,
    ListDocumentsResponse,
    ReprocessDocumentRequest,
    UploadDocumentRequest,
    UploadSpec,
)
from tests.documents import House, house, until


@pytest.fixture
async def home(tmp_path: Path, database_url: str) -> AsyncIterator[House]:
    async with house(tmp_path, upload_max_bytes=1000_000, database_url=database_url) as opened:
        yield opened


def kept(home: House) -> list[str]:
    return sorted(path.name for path in home.blobs.iterdir())


async def listed(home: House, **asked: object) -> ListDocumentsResponse:
    with translated():
        return await home.stub.list_documents(ListDocumentsRequest(**asked), **outgoing(10))


async def test_an_upload_is_durable_queued_and_told_exactly(home: House):
    content = b"one\ntwo" * 50_000

    document = await home.upload(content, "Größe 你好.txt", pieces=7, metadata={"team": "b"})

    assert document.state == DocumentState.QUEUED
    assert document.sha256 == hashlib.sha256(content).hexdigest()
    assert (document.size_bytes, document.generation) == (len(content), 1)
    assert (document.collection, document.metadata) == ("default", {"team": "b"})
    assert kept(home) == [document.id]
    assert (home.blobs / document.id).read_bytes() == content


async def test_the_same_bytes_and_name_are_one_document_other_names_are_others(home: House):
    first = await home.upload(b"same", "a.txt")
    again = await home.upload(b"same", "a.txt")
    other = await home.upload(b"same", "b.txt")

    assert again.id == first.id != other.id
    assert kept(home) == sorted([first.id, other.id])


async def test_equal_uploads_at_once_are_one_document(home: House):
    documents = await asyncio.gather(*(home.upload(b"same", "a.txt") for _ in range(12)))

    assert len({document.id for document in documents}) == 1
    assert kept(home) == [documents[0].id]


@pytest.mark.parametrize(
    ("content", "spec", "hint"),
    [
        (b"", {}, "is empty"),
        (b"x" * 1_000_001, {"pieces": 5}, "larger than 1000000 bytes"),
        (b"x", {"size_bytes": 2_000_000}, "larger than 1000000 bytes"),
        (b"xyz", {"size_bytes": 4}, "to have 4 bytes, 3 came"),
        (b"xyz", {"sha256": "0" * 64}, "was to have SHA-256"),
        (b"xyz", {"sha256": "nonsense"}, "64 lower-case hex"),
        (b"x" * 300_000, {}, "at most 262144"),
        (b"x", {"name": "a/b.txt"}, "slashes"),
        (b"x", {"name": "a\0b"}, "control"),
        (b"x", {"name": "n" * 1000}, "1000 characters"),
        (b"x", {"name": " "}, "no name"),
        (b"x", {"collection": "No Such"}, "no collection name"),
        (b"x", {"metadata": {"Bad Key": "v"}}, "metadata key"),
        (b"x", {"metadata": {"key": "v" * 1025}}, "at most 1024"),
        (b"x", {"metadata": {f"k{i}": "v" for i in range(33)}}, "at most 32"),
    ],
)
async def test_a_bad_upload_says_what_would_be_right_and_leaves_nothing(home: House, content, spec, hint):
    with pytest.raises(InvalidArgument, match=hint):
        await home.upload(content, **({"name": "a.txt"} | spec))

    assert kept(home) == []
    assert not (await listed(home)).documents


async def test_an_unknown_collection_is_not_found(home: House):
    with pytest.raises(NotFound, match="no collection 'nope'"):
        await home.upload(b"x", collection="nope")


async def test_an_upload_must_begin_with_its_spec_and_have_one_only(home: House):
    async def without_spec():
        yield UploadDocumentRequest(data=b"x")

    async def two_specs():
        yield UploadDocumentRequest(spec=UploadSpec(name="a"))
        yield UploadDocumentRequest(spec=UploadSpec(name="a"))

    for requests in (without_spec(), two_specs()):
        with pytest.raises(InvalidArgument), translated():
            await home.stub.upload_document(requests, **outgoing(10))

    assert kept(home) == []


async def test_a_stream_that_breaks_off_leaves_no_row_and_no_bytes(home: House):
    sent = asyncio.Event()

    async def requests():
        yield UploadDocumentRequest(spec=UploadSpec(name="a.txt"))
        for _ in range(3):
            yield UploadDocumentRequest(data=b"x" * 200_000)
        sent.set()
        await asyncio.Event().wait()

    call = home.stub.upload_document(requests(), timeout=20)
    await sent.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    await until(lambda: not kept(home))
    assert not (await listed(home)).documents


async def test_lists_are_newest_first_and_complete_page_by_page(home: House):
    ids = [(await home.upload(b"x", f"{i}.txt")).id for i in range(7)]

    seen, token = [], ""
    while True:
        page = await listed(home, page_size=3, page_token=token)
        seen += [document.id for document in page.documents]
        if not (token := page.next_page_token):
            break

    assert seen == ids[::-1]


async def test_a_page_token_is_good_for_its_own_list_only(home: House):
    for i in range(3):
        await home.upload(b"x", f"{i}.txt")
    with translated():
        await home.stub.create_collection(CreateCollectionRequest(name="other"), **outgoing(10))
    token = (await listed(home, page_size=1)).next_page_token

    for bad in (
        {"page_token": token, "collection": "other"},
        {"page_token": token, "state": DocumentState.QUEUED},
        {"page_token": "nonsense"},
        {"page_token": "bnVsbA=="},
        {"page_token": "é"},
    ):
        with pytest.raises(InvalidArgument, match="page_token"):
            await listed(home, **bad)


async def test_a_page_size_beyond_the_bound_is_refused(home: House):
    with pytest.raises(InvalidArgument, match="1 to 1000"):
        await listed(home, page_size=1001)


async def test_lists_narrow_to_a_state(home: House):
    document = await home.upload(b"x")

    assert [one.id for one in (await listed(home, state=DocumentState.QUEUED)).documents] == [document.id]
    assert not (await listed(home, state=DocumentState.READY)).documents


async def test_a_download_returns_the_original_bytes(home: House):
    content = bytes(range(256)) * 3000
    document = await home.upload(content, pieces=4)

    with translated():
        call = home.stub.download_document(DownloadDocumentRequest(id=document.id), **outgoing(10))
        parts = [part async for part in call]

    assert parts[0].document.id == document.id
    assert b"".join(part.data for part in parts[1:]) == content
    assert max(len(part.data) for part in parts[1:]) <= 256 * 1024


async def test_tenants_see_their_own_documents_only(home: House):
    with bound(tenant="ours"):
        document = await home.upload(b"secret")

    with bound(tenant="theirs"):
        for call, request in (
            (home.stub.get_document, GetDocumentRequest(id=document.id)),
            (home.stub.delete_document, DeleteDocumentRequest(id=document.id)),
            (home.stub.reprocess_document, ReprocessDocumentRequest(id=document.id)),
        ):
            with pytest.raises(NotFound), translated():
                await call(request, **outgoing(10))
        assert not (await listed(home)).documents
        assert await home.live(document.id) == {}


async def test_an_id_that_is_none_is_refused_and_one_that_is_not_there_not_found(home: House):
    for bad, error in (("../etc", InvalidArgument), ("0198b0a0-0000-7000-8000-000000000000", NotFound)):
        with pytest.raises(error), translated():
            await home.stub.get_document(GetDocumentRequest(id=bad), **outgoing(10))
        with pytest.raises(error):
            await home.watched(bad)


async def test_collections_are_made_listed_by_name_and_deleted_with_their_documents(home: House):
    with translated():
        for name in ("zoo", "alpha"):
            await home.stub.create_collection(CreateCollectionRequest(name=name), **outgoing(10))
        with pytest.raises(AlreadyExists), translated():
            await home.stub.create_collection(CreateCollectionRequest(name="zoo"), **outgoing(10))
    document = await home.upload(b"x", collection="zoo")

    with translated():
        await home.stub.delete_collection(DeleteCollectionRequest(name="zoo"), **outgoing(10))
        first = await home.stub.list_collections(ListCollectionsRequest(page_size=1), **outgoing(10))
        rest = await home.stub.list_collections(
            ListCollectionsRequest(page_size=1, page_token=first.next_page_token), **outgoing(10)
        )
        again = await home.stub.create_collection(CreateCollectionRequest(name="zoo"), **outgoing(10))

    assert [one.name for one in (*first.collections, *rest.collections)] == ["alpha", "default"]
    assert again.document_count == 0
    with pytest.raises(NotFound), translated():
        await home.stub.get_document(GetDocumentRequest(id=document.id), **outgoing(10))
    sweeper = home.sweeper()
    await asyncio.sleep(0.05)
    await sweeper.sweep()
    assert kept(home) == []


@pytest.mark.parametrize("name", ["", "Upper", "-a", "a" * 64, "ä"])
async def test_a_bad_collection_name_is_refused(home: House, name: str):
    with pytest.raises(InvalidArgument), translated():
        await home.stub.create_collection(CreateCollectionRequest(name=name), **outgoing(10))


async def test_the_default_collection_is_always_there(home: House):
    with translated():
        collection = await home.stub.get_collection(GetCollectionRequest(), **outgoing(10))
        with pytest.raises(FailedPrecondition), translated():
            await home.stub.delete_collection(DeleteCollectionRequest(name="default"), **outgoing(10))

    assert collection.name == "default"


async def test_stats_count_what_is_kept(home: House):
    await home.upload(b"12345")

    with translated():
        stats = await home.stub.get_ingest_stats(GetIngestStatsRequest(), **outgoing(10))

    assert stats.stored_bytes == 5
    assert [(one.state, one.count) for one in stats.documents] == [(DocumentState.QUEUED, 1)]
    assert stats.oldest_unfinished_ms >= 0
