"""How well passages are found: XQuAD's questions, of which each is answered by one passage.

    python -m tests.bench.quality  # svc_query's retrieval over Milvus Lite, with the Triton of the settings

`quality_of` measures anything that ranks passages for a question, for example the HTTP edge.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from bench.corpus import Corpus, Passage, Question, xquad
from ragmesh.chunk import Chunk
from ragmesh.inference.embed import TritonEmbedder
from ragmesh.inference.port import Embedder, Role
from ragmesh.settings import load
from ragmesh.storage.vectors.milvus import MilvusVectors
from ragmesh.storage.vectors.port import ChunkWriter
from svc_query.ports import Collection as CollectionView
from svc_query.ports import Live
from svc_query.retrieve import Mode, Retriever, Search
from tests.milvus_server import MilvusServer

XQUAD = Path(os.environ.get("RAGMESH_XQUAD", Path(__file__).parents[2] / "../shared/data/xquad"))
DEPTH = 10
AT_ONCE = 16
EITHER = "en+zh"  # a collection with the passages of both languages: either one counts as found

Ranker = Callable[[str], Awaitable[Sequence[str]]]  # a question to passage ids, best first


@dataclass(frozen=True, slots=True)
class Quality:
    """Means over questions, 0 to 1."""

    recall_1: float
    recall_5: float
    mrr_10: float

    def __str__(self) -> str:
        return f"{self.recall_1:.3f}  {self.recall_5:.3f}  {self.mrr_10:.4f}"


def rank_of(passage: str, ranking: Sequence[str]) -> int | None:
    """The place of a passage, from 1, among the distinct ones of a ranking; None where it is not."""
    distinct = list(dict.fromkeys(ranking))
    return distinct.index(passage) + 1 if passage in distinct else None


def recall(ranks: Sequence[int | None], depth: int) -> float:
    """The share of questions whose passage is among the first `depth`."""
    return statistics.fmean(rank is not None and rank <= depth for rank in ranks)


def mrr(ranks: Sequence[int | None], depth: int = DEPTH) -> float:
    """The mean of 1 / rank, 0 beyond `depth`."""
    return statistics.fmean(1 / rank if rank is not None and rank <= depth else 0 for rank in ranks)


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


class Everything:
    """Implements svc_query's Documents: collections are named by their ids, and all that is indexed is live."""

    async def collection(self, tenant: str, name: str) -> CollectionView:
        return CollectionView(name, 1)

    async def live(self, tenant: str, collection: str, document_ids: Collection[str]) -> Live:
        return Live(CollectionView(collection, 1), dict.fromkeys(document_ids, 1))


async def index(vectors: ChunkWriter, embedder: Embedder, collection: str, corpus: Corpus) -> None:
    """Writes passages as documents of one chunk, named as an upload of their text would be."""
    for start in range(0, len(corpus.passages), AT_ONCE):
        chunks = [_chunk(collection, passage) for passage in corpus.passages[start : start + AT_ONCE]]
        await vectors.upsert(chunks, await embedder.embed([chunk.text for chunk in chunks], Role.PASSAGE))


def searching(retriever: Retriever, collection: str, mode: Mode) -> Ranker:
    """Ranks by svc_query's own retrieval."""

    async def rank(question: str) -> list[str]:
        found = await retriever.retrieve(Search("bench", collection, question, DEPTH, mode))
        return [hit.chunk.document_name.removesuffix(".txt") for hit in found.hits]

    return rank


async def report(embedder: Embedder) -> None:
    """Prints every mode in every language, also for passages in the other language, and in either."""
    corpora = {language: xquad(XQUAD, language) for language in ("en", "zh")}
    async with _retriever(embedder, corpora) as retriever:
        say(f"{embedder.info.name:28} recall@1 recall@5 MRR@10")
        for asked, searched, mode in product(corpora, (*corpora, EITHER), Mode):
            quality = await quality_of(corpora[asked].questions, searching(retriever, searched, mode))
            say(f"{asked} -> {searched:8} {mode:12}    {quality}")


@asynccontextmanager
async def _retriever(embedder: Embedder, corpora: Mapping[str, Corpus]) -> AsyncIterator[Retriever]:
    with tempfile.TemporaryDirectory() as folder:
        async with (
            MilvusServer(Path(folder)) as server,
            MilvusVectors(server.uri, "", embedder.info) as vectors,
            Retriever(embedder, vectors, Everything()) as retriever,
        ):
            for language, corpus in corpora.items():
                await index(vectors, embedder, language, corpus)
                await index(vectors, embedder, EITHER, corpus)
            yield retriever


def _chunk(collection: str, passage: Passage) -> Chunk:
    return Chunk(
        collection_id=collection,
        document_id=str(uuid.uuid4()),
        generation=1,
        ordinal=0,
        document_name=f"{passage.id}.txt",
        content_type="text/plain",
        page=0,
        start=0,
        end=len(passage.text),
        text=passage.text,
    )


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def main() -> None:
    async with TritonEmbedder(load().triton_url) as embedder:
        await report(embedder)


if __name__ == "__main__":
    asyncio.run(main())
