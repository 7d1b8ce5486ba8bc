"""Finding the passages that fit a question.

    async with Retriever(embedder, searcher, documents) as retriever:
        found = await retriever.retrieve(Search(tenant, "handbook", "When do we change tyres?", top_k=8))

The question is embedded while its collection is looked up; both indexes are searched at once; what they return is
checked for life and fused. Concurrent searches share calls of the embedder and of each index.

Where a collection has passages in other languages than the question's, each is searched apart (`across`).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import chain
from types import TracebackType
from typing import Self, cast

import numpy as np
from numpy.typing import NDArray

from ragmesh.filter import AnyOf, Equals, Filter
from ragmesh.inference.port import EmbedderInfo, Role
from ragmesh.language import language_of
from ragmesh.storage.vectors.port import ChunkSearcher, Hit, Scope, Side
from svc_query.across import Across
from svc_query.coalesce import Coalescer
from svc_query.fusion import dense_weight, fuse
from svc_query.lexical import by_words
from svc_query.liveness import Liveness, Place
from svc_query.ports import Collection, Documents, ReadingEmbedder
from svc_query.timings import Timings
from svc_query.tongues import Tongues

CANDIDATES_MIN = 20  # of each index; more did not help on XQuAD, and each costs the index time
CANDIDATES_PER_RESULT = 2
CANDIDATES_MAX = 16_384  # Milvus returns no more
WIDENING = 4  # by how much the next try asks for more, when dead chunks filled the candidates
SEARCHES_AT_ONCE = 32  # in one call of an index; its answer is read in one piece, and holds up everybody else

LANGUAGE = "language"

Vector = NDArray[np.float32]


class Mode(StrEnum):
    """Which indexes are asked."""

    HYBRID = "hybrid"
    DENSE = "dense"
    SPARSE = "sparse"


SIDES = {Mode.HYBRID: (Side.DENSE, Side.SPARSE), Mode.DENSE: (Side.DENSE,), Mode.SPARSE: (Side.SPARSE,)}


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for, and where."""

    tenant: str
    collection: str  # name
    text: str
    top_k: int
    mode: Mode = Mode.HYBRID
    filter: Filter = ()

    @property
    def place(self) -> Place:
        return Place(self.tenant, self.collection)


@dataclass(frozen=True, slots=True)
class _Ground:
    """Where a search looks: in the question's own language, and apart from it in each of the others."""

    collection: Collection
    asked: str = ""  # the question's language; empty where all are searched as one
    home: Filter = ()
    abroad: Mapping[str, Filter] = field(default_factory=dict[str, Filter])


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What was found, best first, and where the time went."""

    hits: Sequence[Hit]
    collection: Collection  # as it was when the search began, or later
    mode: Mode  # which indexes were asked
    timings: Timings
    cosine: float | None  # of the passage that is nearest in meaning; None where only words were searched for
    embedder: str  # name of the model that compared them


@dataclass(frozen=True, slots=True)
class _Lane:
    """Searches that can share a call."""

    side: Side
    scope: Scope
    limit: int


@dataclass(frozen=True, slots=True)
class _Half:
    """What one index gave."""

    hits: Sequence[Hit]
    embed_s: float
    queue_s: float


@dataclass(frozen=True, slots=True)
class _Embedded:
    """The question's vector, and where the time went."""

    vector: Vector
    embed_s: float
    queue_s: float


class Retriever:
    """Finds passages by meaning, by words, or by both."""

    def __init__(self, embedder: ReadingEmbedder, searcher: ChunkSearcher, documents: Documents) -> None:
        self._embedder = embedder
        self._searcher = searcher
        self._tongues = Tongues(searcher)
        self._across = Across(embedder)
        self._liveness = Liveness(documents)
        self._embed = Coalescer("embed", self._embed_many)
        self._search = Coalescer("search", self._search_many, batch_max=SEARCHES_AT_ONCE)
        self._ranking = asyncio.Lock()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for part in (self._liveness, self._tongues, self._across, self._embed, self._search):
            await self._stack.enter_async_context(part)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    @property
    def model(self) -> EmbedderInfo:
        """Whose vectors are compared."""
        return self._embedder.info

    async def retrieve(self, search: Search) -> Retrieved:
        """The best passages. Raises NotFound where there is no such collection, Unavailable, DeadlineExceeded."""
        began = time.perf_counter()
        mode = search.mode if self._searcher.ranks_words else Mode.DENSE
        async with _tasks() as tasks:
            ground = tasks.create_task(self._ground(search, mode))
            vector = tasks.create_task(self._vector(search.text)) if Side.DENSE in SIDES[mode] else None
            halves = [tasks.create_task(self._half(side, search, vector, ground)) for side in SIDES[mode]]
            abroad = tasks.create_task(self._abroad(search, vector, ground))
        found = {side: half.result() for side, half in zip(SIDES[mode], halves, strict=True)}
        hits = await self._in_turn(search, found)
        if others := abroad.result():
            asked = ground.result().asked
            hits = await self._across.order(search.text, asked, {asked: hits, **others})
        near = [
            *(found[Side.DENSE].hits if Side.DENSE in found else ()),
            *chain.from_iterable(abroad.result().values()),
        ]
        return Retrieved(
            hits[: search.top_k],
            ground.result().collection,
            mode,
            _timings(found, time.perf_counter() - began),
            cosine=max((hit.score for hit in near), default=None),
            embedder=self._embedder.info.name,
        )

    async def _ground(self, search: Search, mode: Mode) -> _Ground:
        """Words alone find nothing in another language, and who filters by language has chosen one."""
        collection = await self._liveness.collection(search.place)
        if mode is Mode.SPARSE or any(condition.field == LANGUAGE for condition in search.filter):
            return _Ground(collection, home=search.filter)
        languages = self._embedder.info.languages & await self._tongues.of(collection)
        asked = language_of(search.text, languages) if len(languages) > 1 else ""
        if not asked:
            return _Ground(collection, home=search.filter)
        home = (*search.filter, AnyOf(LANGUAGE, (asked, "")))
        abroad = {other: (*search.filter, Equals(LANGUAGE, other)) for other in sorted(languages - {asked})}
        return _Ground(collection, asked, home, abroad)

    async def _vector(self, text: str) -> _Embedded:
        began = time.perf_counter()
        embedded = await self._embed.timed(Role.QUERY, text)
        return _Embedded(embedded.answer, time.perf_counter() - began - embedded.waited_s, embedded.waited_s)

    async def _half(
        self, side: Side, search: Search, vector: asyncio.Task[_Embedded] | None, ground: asyncio.Task[_Ground]
    ) -> _Half:
        embedded = await vector if vector and side is Side.DENSE else None
        query = embedded.vector if embedded else search.text
        where = await ground
        home = replace(search, filter=where.home)
        hits, searched_after_s = await self._live_hits(side, query, home, where.collection)
        if not embedded:
            return _Half(hits, embed_s=0.0, queue_s=searched_after_s)
        return _Half(hits, embedded.embed_s, embedded.queue_s + searched_after_s)

    async def _abroad(
        self, search: Search, vector: asyncio.Task[_Embedded] | None, ground: asyncio.Task[_Ground]
    ) -> dict[str, Sequence[Hit]]:
        """What other languages have, by meaning."""
        where = await ground
        if not where.abroad or vector is None:
            return {}
        query = (await vector).vector
        async with _tasks() as tasks:
            found = {
                language: tasks.create_task(
                    self._live_hits(Side.DENSE, query, replace(search, filter=only), where.collection)
                )
                for language, only in where.abroad.items()
            }
        return {language: hits.result()[0] for language, hits in found.items()}

    async def _live_hits(
        self, side: Side, query: str | Vector, search: Search, collection: Collection
    ) -> tuple[list[Hit], float]:
        """Candidates that may be shown: enough for the results, unless there are no more; and the wait for a turn.

        Index and document service are read one after the other. Where a document becomes READY anew in between, one
        knows its old generation and the other its new one: then both are read once more.
        """
        limit = max(CANDIDATES_MIN, CANDIDATES_PER_RESULT * search.top_k)
        looked_again = False
        waited_s = 0.0
        while True:
            lane = _Lane(side, Scope(collection.id, search.filter), limit)
            searched = await self._search.timed(lane, query)
            hits, waited_s = searched.answer, waited_s + searched.waited_s
            sifted = await self._liveness.sift(search.place, collection, hits)
            if sifted.is_outdated and not looked_again:
                looked_again = True
                collection = await self._liveness.collection(search.place)
                continue
            if len(sifted.hits) >= search.top_k or len(hits) < limit or limit == CANDIDATES_MAX:
                return sifted.hits, waited_s
            limit = min(limit * WIDENING, CANDIDATES_MAX)

    async def _in_turn(self, search: Search, found: Mapping[Side, _Half]) -> list[Hit]:
        """Ranks one search in each turn of the event loop.

        Searches that shared a call come here together: all in one turn would hold up everybody else.
        """
        async with self._ranking:
            hits = self._ranked(search, found)
            await asyncio.sleep(0)
        return hits

    def _ranked(self, search: Search, found: Mapping[Side, _Half]) -> list[Hit]:
        if len(found) == 1:
            return [hit for half in found.values() for hit in half.hits]
        dense, sparse = of_newest_generation(found[Side.DENSE].hits, found[Side.SPARSE].hits)
        weight = dense_weight(search.text, self._embedder.info.languages, sparse)
        return fuse(dense, by_words(search.text, [*dense, *sparse]), weight)

    async def _embed_many(self, role: Role, texts: Sequence[str]) -> Sequence[Vector]:
        return list(await self._embedder.embed(texts, role))

    async def _search_many(self, lane: _Lane, queries: Sequence[str | Vector]) -> Sequence[Sequence[Hit]]:
        if lane.side is Side.SPARSE:
            return await self._searcher.search_sparse(lane.scope, cast("Sequence[str]", queries), lane.limit)
        return await self._searcher.search_dense(
            lane.scope, np.stack(cast("Sequence[Vector]", queries)), lane.limit
        )


def _timings(found: Mapping[Side, _Half], total_s: float) -> Timings:
    """Both halves ran at once: of each stage the longer counts, and searching is what remains."""
    embed_s, queue_s = (max(getattr(half, name) for half in found.values()) for name in ("embed_s", "queue_s"))
    search_s = max(0.0, total_s - embed_s - queue_s)
    return Timings(queue_s=queue_s, embed_s=embed_s, search_s=search_s, total_s=total_s)


def of_newest_generation(*halves: Sequence[Hit]) -> list[list[Hit]]:
    """The same hits, without those of a generation that one half has found a newer one of: no result mixes two."""
    newest: dict[str, int] = {}
    for hit in chain(*halves):
        newest[hit.chunk.document_id] = max(hit.chunk.generation, newest.get(hit.chunk.document_id, 0))
    return [[hit for hit in half if hit.chunk.generation == newest[hit.chunk.document_id]] for half in halves]


@asynccontextmanager
async def _tasks() -> AsyncIterator[asyncio.TaskGroup]:
    """A task group whose first error is raised as it is, not in a group of errors."""
    try:
        async with asyncio.TaskGroup() as tasks:
            yield tasks
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
