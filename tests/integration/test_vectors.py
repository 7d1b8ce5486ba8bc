"""MilvusVectors against Milvus Lite and against a real Milvus 2.3, which knows no BM25."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ragmesh.chunk import Chunk
from ragmesh.errors import DeadlineExceeded, FailedPrecondition, InvalidArgument, Unavailable
from ragmesh.filter import AnyOf, Condition, Equals, Exists, InRange, NotEquals
from ragmesh.inference.port import EmbedderInfo
from ragmesh.storage.vectors.milvus import MilvusVectors
from ragmesh.storage.vectors.port import Edition, Scope, Side, Vectors
from tests.milvus_server import MilvusServer
from tests.servers import Server

DIMS = 8
EMBEDDER = EmbedderInfo("toy-model", "1", DIMS, 512, frozenset({"en"}), "", "")
HOSTILE = [
    "",
    " ",
    '"',
    "'",
    "\\",
    '\\"',
    '" or page >= 0 or "" == "',
    "x\n\r\t\x00\x07y",
    "%",
    "_",
    "null",
    "true",
    "NaN",
    "0",
    "00",
    "-1",
    "1e3",
    "$meta",
    "{}",
    "冬季轮胎",
    "ﬁ́\u202e\U0001f600",
]

fresh = count(1)


def chunk(text: str = "words", **fields: object) -> Chunk:
    defaults = {
        "collection_id": "c",
        "document_id": str(uuid.uuid4()),
        "generation": 1,
        "ordinal": 0,
        "document_name": "Winter_tyres-2024.md",
        "content_type": "text/markdown",
        "page": 0,
        "start": 0,
        "end": len(text),
        "text": text,
    }
    return Chunk(**defaults | fields)


def vectors(*directions: int) -> Vectors:
    return np.eye(DIMS, dtype=np.float32)[list(directions)]


@pytest_asyncio.fixture(scope="session")
async def lite(milvus_lite: MilvusServer) -> AsyncIterator[MilvusVectors]:
    """Where words can be searched too."""
    async with MilvusVectors(milvus_lite.uri, "", EMBEDDER) as store:
        yield store


@pytest_asyncio.fixture(scope="session")
async def milvus_store(milvus: Server) -> AsyncIterator[MilvusVectors]:
    async with MilvusVectors(milvus.url, "", EMBEDDER) as store:
        yield store


@pytest.fixture(scope="session", params=["lite", "milvus"])
def store(request: pytest.FixtureRequest, lite: MilvusVectors, milvus_store: MilvusVectors) -> MilvusVectors:
    return lite if request.param == "lite" else milvus_store


@pytest.fixture
def collection() -> str:
    return f"collection-{next(fresh)}"


async def write(store: MilvusVectors, chunks: list[Chunk], of: Vectors) -> None:
    await store.upsert(chunks, of)
    await settled(store)


async def settled(store: MilvusVectors) -> None:
    """What was written before can be seen by every search after."""
    await store.count("any", "any", 0)


async def everything(store: MilvusVectors, scope: Scope) -> set[str]:
    (hits,) = await store.search_dense(scope, vectors(0), 100)
    return {hit.chunk.text for hit in hits}


async def test_a_chunk_comes_back_as_it_was_written(store, collection):
    written = chunk(
        "冬季轮胎 \x00 \\ and “wheels” \U0001f600\n" * 3,
        collection_id=collection,
        document_name="名" * 255,
        page=7,
        start=2**40,
        end=2**40 + 9,
        headings=("Part \\ 1", "部分"),
        metadata={"team": 'R&D "north"', "empty": ""},
    )

    await write(store, [written], vectors(1))

    (hits,) = await store.search_dense(Scope(collection), vectors(1), 3)
    assert [hit.chunk for hit in hits] == [written]
    assert hits[0].score == pytest.approx(1.0, abs=1e-5)


async def test_writing_a_chunk_twice_is_writing_it_once(store, collection):
    one = chunk(collection_id=collection)

    await write(store, [one], vectors(0))
    await write(store, [one], vectors(0))

    assert await store.count(collection, one.document_id, 1) == 1


async def test_many_vectors_share_a_call_and_keep_their_order(store, collection):
    await write(store, [chunk(text, collection_id=collection) for text in "abc"], vectors(0, 1, 2))

    found = await store.search_dense(Scope(collection), vectors(2, 0), 1)

    assert [[hit.chunk.text for hit in hits] for hits in found] == [["c"], ["a"]]


async def test_many_questions_share_a_call_and_keep_their_order(lite, collection):
    texts = ["winter tyres", "summer holidays", "冬季轮胎的价格"]
    await write(lite, [chunk(text, collection_id=collection) for text in texts], vectors(0, 1, 2))

    sparse = await lite.search_sparse(Scope(collection), ["holidays in summer?", "轮胎", "zebra"], 3)

    assert [[hit.chunk.text for hit in hits] for hits in sparse] == [[texts[1]], [texts[2]], []]


async def test_better_hits_have_higher_scores_on_both_sides(lite, collection):
    texts = ["apple", "apple banana cherry", "apple banana cherry cherry cherry", "kiwi", "lemon"]
    rng = np.random.default_rng(1)
    random = rng.normal(size=(5, DIMS)).astype(np.float32)
    await write(lite, [chunk(text, collection_id=collection) for text in texts], random)

    (dense,) = await lite.search_dense(Scope(collection), random[:1], 5)
    (sparse,) = await lite.search_sparse(Scope(collection), ["cherry banana"], 5)

    assert dense[0].chunk.text == "apple"
    for hits in (dense, sparse):
        scores = [hit.score for hit in hits]
        assert scores == sorted(scores, reverse=True)
    assert all(hit.score > 0 for hit in sparse)


async def test_words_of_the_title_and_headings_are_searched_too(lite, collection):
    one = chunk("the price is 80", collection_id=collection, headings=("Rims",))
    await write(lite, [one], vectors(0))

    for query in ("tyres", "rims"):
        (hits,) = await lite.search_sparse(Scope(collection), [query], 1)
        assert [hit.chunk for hit in hits] == [one]


async def test_another_collection_is_never_seen(store, collection):
    await write(store, [chunk("mine", collection_id=collection)], vectors(0))
    await write(store, [chunk("theirs", collection_id=f"{collection}-other")], vectors(0))

    assert await everything(store, Scope(collection)) == {"mine"}


async def test_another_collections_words_are_never_found(lite, collection):
    await write(lite, [chunk("mine", collection_id=collection)], vectors(0))
    await write(lite, [chunk("theirs", collection_id=f"{collection}-other")], vectors(0))

    (hits,) = await lite.search_sparse(Scope(collection), ["theirs"], 5)

    assert hits == []


async def test_old_generations_and_documents_and_collections_are_deleted(store, collection):
    document = str(uuid.uuid4())
    mine = [chunk(f"g{n}", collection_id=collection, document_id=document, generation=n) for n in (1, 2, 3)]
    other = chunk("other", collection_id=collection)
    await write(store, [*mine, other], vectors(0, 0, 0, 0))

    await store.delete_document(collection, document, below_generation=3)
    await settled(store)
    assert await everything(store, Scope(collection)) == {"g3", "other"}

    await store.delete_document(collection, document)
    await store.delete_document(collection, document)
    await settled(store)
    assert await everything(store, Scope(collection)) == {"other"}
    assert await store.count(collection, document, 3) == 0

    await store.delete_collection(collection)
    await settled(store)
    assert await everything(store, Scope(collection)) == set()


async def test_a_documents_chunks_are_listed_in_their_order_by_ordinal_and_page(store, collection):
    document = str(uuid.uuid4())
    parts = [
        chunk(f"part {n}", collection_id=collection, document_id=document, ordinal=n, page=1 + n // 4)
        for n in range(12)
    ]
    older = chunk("older", collection_id=collection, document_id=document, generation=0, ordinal=5, page=2)
    await write(store, [*reversed(parts), older, chunk("other", collection_id=collection)], vectors(*[0] * 14))
    edition = Edition(collection, document, 1)

    assert await store.listed(edition, range(2, 11), 0) == parts[2:11]
    assert await store.listed(edition, range(2, 11), 2) == parts[4:8]
    assert await store.listed(edition, range(50, 60), 0) == []
    assert [await store.count_before(edition, page) for page in (1, 2, 3, 9)] == [0, 4, 8, 12]


async def test_what_does_not_fit_is_refused_before_anything_is_written(store, collection):
    long = chunk("字" * 30_000, collection_id=collection)
    heavy = chunk(collection_id=collection, metadata={f"key_{n}": "\U0001f600" * 1024 for n in range(32)})

    for bad, told in ((long, "its text takes 90,000 bytes"), (heavy, "its metadata takes")):
        with pytest.raises(InvalidArgument, match=told):
            await write(store, [chunk("fine", collection_id=collection), bad], vectors(0, 1))

    assert await everything(store, Scope(collection)) == set()


async def test_long_headings_push_out_words_and_nothing_else(store, collection):
    deep = chunk("tail", collection_id=collection, headings=tuple(["word " * 4_000] * 4))

    await write(store, [deep], vectors(0))

    assert await everything(store, Scope(collection)) == {"tail"}


FILTERED = "filtered"
PEOPLE = [
    chunk(
        f"n{n}",
        collection_id=FILTERED,
        document_id=f"d{n % 5}",
        ordinal=n,
        document_name=name or "empty",
        page=n % 4,
        metadata={"key": name, "other": "x"} if n % 3 else {"other": name},
    )
    for n, name in enumerate(HOSTILE)
]
values = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=20))
fields = st.sampled_from(["document_id", "document_name", "content_type", "page", "metadata.key", "metadata.other"])
bounds = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.integers(0, 4))
conditions = st.one_of(
    st.builds(Equals, fields, values),
    st.builds(NotEquals, fields, values),
    st.builds(AnyOf, fields, st.lists(values, max_size=4).map(tuple)),
    st.builds(Exists, fields, st.booleans()),
    st.builds(InRange, st.just("page"), bounds, bounds),
)


def holds(condition: Condition, of: Chunk) -> bool:
    key = condition.field.removeprefix("metadata.")
    value = of.metadata.get(key) if key != condition.field else str(getattr(of, key))
    match condition:
        case Equals(_, wanted):
            return value == wanted
        case NotEquals(_, unwanted):
            return value != unwanted
        case AnyOf(_, wanted):
            return value in wanted
        case Exists(_, exists):
            return (value is not None) == exists
        case InRange(_, low, high):
            return (low is None or low <= of.page) and (high is None or of.page <= high)


@pytest_asyncio.fixture(scope="session")
async def people(store: MilvusVectors) -> MilvusVectors:
    await write(store, PEOPLE, vectors(*[0] * len(PEOPLE)))
    return store


@given(st.lists(conditions, max_size=3).map(tuple))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_a_filter_matches_what_it_says_and_never_more(people, conditions):
    found = await everything(people, Scope(FILTERED, conditions))

    assert found == {one.text for one in PEOPLE if all(holds(condition, one) for condition in conditions)}


@pytest.mark.parametrize(
    "condition",
    [
        Equals("tenant", "x"),
        Equals("collection_id", "x"),
        Exists("metadata", exists=True),
        Equals('metadata.a"] == "" or metadata["b', "x"),
        InRange("document_id", 1, 2),
    ],
)
async def test_an_unknown_field_is_refused(store, condition):
    with pytest.raises(InvalidArgument):
        await store.search_dense(Scope("c", (condition,)), vectors(0), 1)


async def test_it_survives_a_crash_of_the_server_and_says_so_meanwhile(tmp_path: Path):
    server = MilvusServer(tmp_path)
    async with server, MilvusVectors(server.uri, "", EMBEDDER, timeout_s=5) as store:
        written = [chunk(f"row {n}") for n in range(20)]
        await write(store, written, vectors(*[n % DIMS for n in range(20)]))

        await server.kill()
        with pytest.raises(Unavailable):
            await store.search_dense(Scope("c"), vectors(0), 1)
        await server.start()
        found = await eventually(store)

        assert found == {one.text for one in written}


async def eventually(store: MilvusVectors) -> set[str]:
    while True:
        try:
            return await everything(store, Scope("c"))
        except Unavailable:
            await asyncio.sleep(0.2)


async def test_it_waits_for_a_server_that_starts_late_and_several_may_set_up_at_once(tmp_path: Path):
    server = MilvusServer(tmp_path)
    stores = [MilvusVectors(server.uri, "", EMBEDDER) for _ in range(4)]
    waiting = [asyncio.create_task(store.__aenter__()) for store in stores]
    await asyncio.sleep(0.5)

    async with server:
        await asyncio.gather(*waiting)
        for store in stores:
            assert await everything(store, Scope("c")) == set()
            await store.__aexit__(None, None, None)


async def test_another_embedding_model_is_refused_on_the_same_data(lite, milvus_lite):
    other = EmbedderInfo("another", "1", DIMS, 512, frozenset(), "", "")
    await lite.require_leader(["chunks_toy_model_1"])

    async with MilvusVectors(milvus_lite.uri, "", other) as vectors:
        with pytest.raises(FailedPrecondition, match="indexed as chunks_toy_model_1"):
            await vectors.require_leader(["chunks_another_1"])
        await vectors.require_leader(["chunks_another_1", "chunks_toy_model_1"])


async def test_the_alias_follows_the_model_that_leads(lite, milvus_lite):
    other = EmbedderInfo("another", "1", DIMS, 512, frozenset(), "", "")
    async with MilvusVectors(milvus_lite.uri, "", other) as vectors:
        await vectors.lead()
        with pytest.raises(FailedPrecondition, match="indexed as chunks_another_1"):
            await lite.require_leader(["chunks_toy_model_1"])

        await lite.lead()

    await lite.require_leader(["chunks_toy_model_1"])


async def test_a_silent_server_is_a_deadline(store, monkeypatch):
    monkeypatch.setattr(store, "_timeout_s", 0.0)

    with pytest.raises(DeadlineExceeded):
        await store.search_dense(Scope("c"), vectors(0), 1)


def test_the_sides_are_the_names_of_the_vector_fields():
    assert [side.value for side in Side] == ["dense", "sparse"]
