"""How well passages are found: each question is answered by one passage, and its rank counts."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass

from bench.corpus import Corpus, Question
from bench.edge import Edge
from ragmesh.quality import DEPTH, mrr, rank_of, recall

AT_ONCE = 16
MODES = ("dense", "sparse", "hybrid")

Ranker = Callable[[str], Awaitable[Sequence[str]]]  # a question to passage ids, best first


@dataclass(frozen=True, slots=True)
class Quality:
    """Means over questions, 0 to 1."""

    recall_1: float
    recall_5: float
    mrr_10: float

    def __str__(self) -> str:
        return f"{self.recall_1:.3f}  {self.recall_5:.3f}  {self.mrr_10:.4f}"


async def ranks_of(questions: Collection[Question], ranker: Ranker) -> list[int | None]:
    """Where the ranker puts each question's passage."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def rank(question: Question) -> int | None:
        async with gate:
            return rank_of(question.passage_id, await ranker(question.text))

    return await asyncio.gather(*map(rank, questions))


async def quality_of(questions: Collection[Question], ranker: Ranker) -> Quality:
    """How well the ranker finds the passages of these questions."""
    ranks = await ranks_of(questions, ranker)
    return Quality(recall(ranks, 1), recall(ranks, 5), mrr(ranks))


async def quality_through(edge: Edge, collection: str, questions: Collection[Question], mode: str) -> Quality:
    """Asks every question at the edge. Passages are documents that are named after their ids."""

    async def rank(question: str) -> Sequence[str]:
        results = await edge.search(collection, question, top_k=DEPTH, mode=mode)
        return [result["document_name"].removesuffix(".txt") for result in results]

    return await quality_of(questions, rank)


async def load(edge: Edge, collection: str, *corpora: Corpus) -> None:
    """Loads corpora into a new collection, each passage a document."""
    await edge.add_all(collection, [passage for corpus in corpora for passage in corpus.passages])
