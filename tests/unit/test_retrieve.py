"""Retrieval, against a store and a document service in memory."""

import asyncio
from collections.abc import Collection as CollectionOf
from collections.abc import Sequence

import numpy as np
import pytest

from ragmesh.chunk import Chunk
from ragmesh.errors import NotFound, Unavailable
from ragmesh.inference.port import EmbedderInfo, Role
from ragmesh.storage.vectors.port import Hit, Scope, Vectors
from svc_query.ports import Collection, Live
from svc_query.retrieve import Mode, Retriever, Search
from tests.query_fakes import passage


class Embedder:
    """One number per text; counts its calls."""

    info = EmbedderInfo("toy", "1", 1, 512, frozenset({"en"}), "", "")

    def __init__(self) -> None:
        self.calls: list[int] = []

    async def embed(self, texts: Sequence[str], role: Role) -> Vectors:
        assert role is Role.QUERY
        self.calls.append(len(texts))
        await asyncio.sleep(0)
        return np.ones((len(texts), 1), np.float32)


class Store:
    """Both sides return the same chunks, best first."""

    ranks_words = True

    def __init__(self, chunks: Sequence[Chunk]) -> None:
        self.chunks = chunks
        self.limits: list[int] = []
        self.sides: list[str] = []

    async def languages(self, collection_id: str) -> frozenset[str]:
        return frozenset({"en"})

    async def search_dense(self, scope: Scope, vectors: Vectors, limit: int) -> list[list[Hit]]:
        return self._hits("dense", len(vectors), limit)

    async def search_sparse(self, scope: Scope, queries: Sequence[str], limit: int) -> list[list[Hit]]:
        return self._hits("sparse", len(queries), limit)

    def _hits(self, side: str, queries: int, limit: int) -> list[list[Hit]]:
        self.limits.append(limit)
        self.sides.append(side)
        return [[Hit(chunk, 1 / (n + 1)) for n, chunk in enumerate(self.chunks[:limit])]] * queries


class Documents:
    """Documents that come and go; counts its calls."""

    def __init__(self, generations: dict[str, int]) -> None:
        self.generations = generations
        self.revision = 1
        self.resolved: list[set[str]] = []
        self.looked_up = 0

    def delete(self, document_id: str) -> None:
        del self.generations[document_id]
        self.revision += 1

    async def collection(self, tenant: str, name: str) -> Collection:
        self.looked_up += 1
        seen = Collection(f"{tenant}/{name}", self.revision)
        await asyncio.sleep(0)
        if name == "nowhere":
            raise NotFound("no such collection")
        return seen

    async def live(self, tenant: str, collection: str, document_ids: CollectionOf[str]) -> Live:
        self.resolved.append(set(document_ids))
        seen = Live(
            Collection(f"{tenant}/{collection}", self.revision),
            {one: self.generations[one] for one in document_ids if one in self.generations},
        )
        await asyncio.sleep(0)
        return seen


def chunk(document: str, generation: int = 1, ordinal: int = 0) -> Chunk:
    return Chunk("c", document, generation, ordinal, document, "text/plain", 0, 0, 1, document)


def search(text: str = "what", *, collection: str = "c", top_k: int = 3, mode: Mode = Mode.HYBRID) -> Search:
    return Search("tenant", collection, text, top_k, mode)


async def found(retriever: Retriever, question: Search) -> list[str]:
    return [hit.chunk.chunk_id for hit in (await retriever.retrieve(question)).hits]


@pytest.mark.parametrize("mode", list(Mode))
async def test_each_mode_asks_its_own_indexes(mode):
    embedder, store = Embedder(), Store([chunk("a"), chunk("b")])
    async with Retriever(embedder, store, Documents({"a": 1, "b": 1})) as retriever:
        assert await found(retriever, search(mode=mode, top_k=1)) == ["a:1:0"]

    assert set(store.sides) == {"dense", "sparse"} if mode is Mode.HYBRID else {mode.value}
    assert len(embedder.calls) == (mode is not Mode.SPARSE)


async def test_dead_documents_and_other_generations_are_not_shown():
    store = Store([chunk("gone"), chunk("a", 1), chunk("a", 2), chunk("a", 3)])
    async with Retriever(Embedder(), store, Documents({"a": 2})) as retriever:
        assert await found(retriever, search()) == ["a:2:0"]


class MadeAnew(Store):
    """While it answers, a document is made anew: READY and rid of its old chunks after its answer, or before."""

    def __init__(self, documents: Documents, *, answers_before: bool) -> None:
        super().__init__([chunk("a", 1), chunk("b", 1)])
        self.documents = documents
        self.answers_before = answers_before

    def _hits(self, side: str, queries: int, limit: int) -> list[list[Hit]]:
        before = super()._hits(side, queries, limit)
        if self.documents.generations["a"] == 2:
            return before
        self.chunks = [chunk("a", 2), chunk("b", 1)]
        self.documents.generations["a"] = 2
        self.documents.revision += 1
        return before if self.answers_before else super()._hits(side, queries, limit)


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("answers_before", [True, False])
async def test_a_document_that_is_made_anew_during_a_search_is_found_in_one_generation(mode, answers_before):
    documents = Documents({"a": 1, "b": 1})
    async with Retriever(Embedder(), Store([chunk("a", 1), chunk("b", 1)]), documents) as retriever:
        await found(retriever, search(mode=mode))  # it knows of the old generation
        retriever._searcher = MadeAnew(documents, answers_before=answers_before)

        assert sorted(await found(retriever, search("again", mode=mode))) in (
            ["a:1:0", "b:1:0"],
            ["a:2:0", "b:1:0"],
        )


async def test_a_document_deleted_before_the_search_is_never_shown():
    documents = Documents({"a": 1, "b": 1})
    async with Retriever(Embedder(), Store([chunk("a"), chunk("b")]), documents) as retriever:
        assert await found(retriever, search()) == ["a:1:0", "b:1:0"]
        documents.delete("a")

        assert await found(retriever, search()) == ["b:1:0"]


async def test_documents_are_resolved_once_for_each_revision():
    documents = Documents({"a": 1, "b": 1})
    async with Retriever(Embedder(), Store([chunk("a"), chunk("b")]), documents) as retriever:
        for _ in range(5):
            await found(retriever, search())
        asked = len(documents.resolved)
        documents.revision += 1
        await found(retriever, search())

    assert asked <= 2
    assert len(documents.resolved) > asked
    assert documents.looked_up == 6


async def test_dead_chunks_do_not_thin_the_results():
    store = Store([*(chunk("dead", 1, n) for n in range(500)), *(chunk("a", 1, n) for n in range(5))])
    async with Retriever(Embedder(), store, Documents({"a": 1})) as retriever:
        assert await found(retriever, search(top_k=5)) == [f"a:1:{n}" for n in range(5)]

    assert max(store.limits) > 500


async def test_a_collection_of_dead_chunks_is_searched_to_its_end_and_no_further():
    store = Store([chunk("dead", 1, n) for n in range(30)])
    async with Retriever(Embedder(), store, Documents({})) as retriever:
        assert await found(retriever, search(mode=Mode.SPARSE)) == []

    assert store.limits == [20, 80]


async def test_concurrent_searches_share_calls():
    embedder, store, documents = Embedder(), Store([chunk("a")]), Documents({"a": 1})
    async with Retriever(embedder, store, documents) as retriever:
        results = await asyncio.gather(*(found(retriever, search(f"question {n}")) for n in range(20)))

    assert results == [["a:1:0"]] * 20
    assert sum(embedder.calls) == 20
    assert len(embedder.calls) <= 2
    assert len(store.sides) <= 4
    assert documents.looked_up <= 2


async def test_an_unknown_collection_is_told_as_such():
    async with Retriever(Embedder(), Store([]), Documents({})) as retriever:
        with pytest.raises(NotFound):
            await retriever.retrieve(search(collection="nowhere"))


async def test_a_failing_part_fails_the_search_with_its_own_error():
    class Away(Embedder):
        async def embed(self, texts: Sequence[str], role: Role) -> Vectors:
            raise Unavailable("the embedder is away")

    async with Retriever(Away(), Store([]), Documents({})) as retriever:
        with pytest.raises(Unavailable, match="embedder"):
            await retriever.retrieve(search())


async def test_the_time_is_accounted_for():
    async with Retriever(Embedder(), Store([chunk("a")]), Documents({"a": 1})) as retriever:
        hybrid = await retriever.retrieve(search())
        sparse = await retriever.retrieve(search(mode=Mode.SPARSE))

    timings = hybrid.timings
    assert timings.embed_s > 0
    assert timings.search_s > 0
    assert timings.queue_s + timings.embed_s + timings.search_s <= timings.total_s * 1.001
    assert sparse.timings.embed_s == 0
    assert sparse.collection == Collection("tenant/c", 1)


@pytest.mark.parametrize("mode", Mode)
async def test_where_words_cannot_be_ranked_every_mode_is_served_dense_and_says_so(mode: Mode):
    store = Store([passage("found")])
    store.ranks_words = False
    async with Retriever(Embedder(), store, Documents({"guide": 1})) as retriever:
        found = await retriever.retrieve(Search("acme", "default", "tyres", 1, mode))

    assert found.mode is Mode.DENSE
    assert [hit.chunk.text for hit in found.hits] == ["found"]
    assert store.sides == ["dense"]
