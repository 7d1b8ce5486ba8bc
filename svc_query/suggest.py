"""Questions to ask next: read off real passages, and offered only if a search for them finds their passage."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from ragmesh.chunk import Chunk
from ragmesh.filter import Equals
from ragmesh.storage.vectors.port import ChunkSearcher, Scope
from ragmesh.terms import numbers, terms
from svc_query.ports import Documents
from svc_query.questions import questions_about
from svc_query.retrieve import Retriever, Search

PASSAGES_MAX = 64  # that are read for questions
PASSAGES_OF_ANSWER = 3
FOUND_WITHIN = 5  # a question is answered by its passage if a search finds it among so many
CHECKED_AT_ONCE = 4
CHECKED_MAX = 40
SAME_MIN = 0.6  # share of equal terms from which two questions ask the same


@dataclass(frozen=True, slots=True)
class OfDocument:
    """A document of the collection."""

    document_id: str


@dataclass(frozen=True, slots=True)
class OfAnswer:
    """The text of an answer that the user has just read."""

    text: str


@dataclass(frozen=True, slots=True)
class Wish:
    """How many questions are wanted, and what they should follow from: None for the collection as a whole."""

    tenant: str
    collection: str  # name
    count: int
    basis: OfDocument | OfAnswer | None = None


@dataclass(frozen=True, slots=True)
class _Candidate:
    question: str
    chunk: Chunk


class Suggester:
    """Suggests questions."""

    def __init__(self, retriever: Retriever, searcher: ChunkSearcher, documents: Documents) -> None:
        self._retriever = retriever
        self._searcher = searcher
        self._documents = documents

    async def suggest(self, wish: Wish) -> list[str]:
        """At most `count` questions, in the language of what they are about; fewer where there is less to ask."""
        candidates = list(_candidates(await self._passages(wish)))[:CHECKED_MAX]
        chosen: list[str] = []
        for start in range(0, len(candidates), CHECKED_AT_ONCE):
            batch = candidates[start : start + CHECKED_AT_ONCE]
            answered = await asyncio.gather(*(self._is_answered(wish, candidate) for candidate in batch))
            for candidate, good in zip(batch, answered, strict=True):
                if good and not any(_ask_the_same(candidate.question, other) for other in chosen):
                    chosen.append(candidate.question)
            if len(chosen) >= wish.count:
                break
        return chosen[: wish.count]

    async def _passages(self, wish: Wish) -> Sequence[Chunk]:
        if isinstance(wish.basis, OfAnswer):
            search = Search(wish.tenant, wish.collection, wish.basis.text, PASSAGES_OF_ANSWER)
            return [hit.chunk for hit in (await self._retriever.retrieve(search)).hits]
        collection = await self._documents.collection(wish.tenant, wish.collection)
        only = (Equals("document_id", wish.basis.document_id),) if wish.basis else ()
        return await self._searcher.sample(Scope(collection.id, only), PASSAGES_MAX)

    async def _is_answered(self, wish: Wish, candidate: _Candidate) -> bool:
        """Whether a search finds the passage: then it is also still there, and may be shown."""
        search = Search(wish.tenant, wish.collection, candidate.question, FOUND_WITHIN)
        found = await self._retriever.retrieve(search)
        return candidate.chunk.chunk_id in {hit.chunk.chunk_id for hit in found.hits}


def _candidates(passages: Sequence[Chunk]) -> Iterator[_Candidate]:
    """Questions of all passages: the best of each first, documents taking turns."""
    rounds = zip_longest(*([_Candidate(q, chunk) for q in questions_about(chunk)] for chunk in _in_turns(passages)))
    yield from (candidate for round_ in rounds for candidate in round_ if candidate)


def _in_turns(passages: Sequence[Chunk]) -> Iterator[Chunk]:
    by_document: dict[str, list[Chunk]] = {}
    for chunk in passages:
        by_document.setdefault(chunk.document_id, []).append(chunk)
    rounds = zip_longest(*by_document.values())
    yield from (chunk for round_ in rounds for chunk in round_ if chunk)


def _ask_the_same(one: str, other: str) -> bool:
    if numbers(one) != numbers(other):
        return False
    mine, others = terms(one), terms(other)
    return len(mine & others) >= SAME_MIN * max(1, min(len(mine), len(others)))
