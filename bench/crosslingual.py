"""Questions and passages in two languages, in one index: what is found across them, and what that costs.

Every passage of XQuAD is there in both languages, as a document of its own. A question is asked three times, and a
filter takes away what shall not be there for it alone:

- "abroad": its passage in the question's language is not there; the one in the other language shall be found;
- "home": its passage in the other language is not there;
- "both": all are there, and only the one in the question's language counts.

The same searches with a filter that names both languages are the figures before: then all are searched as one.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.corpus import Corpus, Passage, Question
from bench.edge import Edge
from bench.quality import Quality
from bench.report import Row
from ragmesh.quality import DEPTH, mrr, rank_of, recall

CASES = ("abroad", "home", "both")
CLIENTS = 4  # as many as a busy machine takes on: searches with filters of their own share no calls
ROUNDS = 3

Corpora = Mapping[str, Corpus]  # by language, with the same ids


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose questions, where their passages are, and how all is searched."""

    language: str
    case: str
    as_one: bool  # all languages as one, as before


async def load(edge: Edge, collection: str, corpora: Corpora) -> None:
    """Loads every passage in each language."""
    await edge.add_all(
        collection,
        [
            Passage(f"{passage.id}.{language}", passage.text)
            for language, corpus in corpora.items()
            for passage in corpus.passages
        ],
    )


async def quality(edge: Edge, collection: str, corpora: Corpora, asked: Asked) -> Quality:
    """How well the passages of a language's questions are found."""
    gate = asyncio.Semaphore(CLIENTS)
    (other,) = corpora.keys() - {asked.language}

    async def rank(question: Question) -> int | None:
        home, abroad = (f"{question.passage_id}.{language}" for language in (asked.language, other))
        hidden = {"abroad": home, "home": abroad, "both": None}[asked.case]
        async with gate:
            found = await edge.search(
                collection, question.text, top_k=DEPTH, filter=_filter(corpora, asked.as_one, hidden)
            )
        names = [result["document_name"].removesuffix(".txt") for result in found]
        return rank_of(abroad if asked.case == "abroad" else home, names)

    ranks = await asyncio.gather(*map(rank, corpora[asked.language].questions))
    return Quality(recall(ranks, 1), recall(ranks, 5), mrr(ranks))


async def compared(edge: Edge, collection: str, corpora: Corpora) -> list[Row]:
    """The figures of all cases, after and before. Passages are read for the first time before anything counts."""
    await _pace(
        edge, collection, [question.text for corpus in corpora.values() for question in corpus.questions], {}
    )
    rows: list[Row] = []
    for language in corpora:
        (other,) = corpora.keys() - {language}
        for case in CASES:
            after, before = [
                await quality(edge, collection, corpora, Asked(language, case, as_one)) for as_one in (False, True)
            ]
            name = f"{language} -> {other if case == 'abroad' else language}, passage {case}"
            rows += [
                _row(name, "recall@1", after.recall_1, before.recall_1),
                _row(name, "MRR@10", after.mrr_10, before.mrr_10),
            ]
    return rows


async def speed(edge: Edge, collection: str, corpora: Corpora) -> list[Row]:
    """Searches a second and their p50, both ways in turns; all passages have been read before."""
    questions = [question.text for corpus in corpora.values() for question in corpus.questions]
    after, before = [], []
    for _ in range(ROUNDS):
        after.append(await _pace(edge, collection, questions, {}))
        before.append(await _pace(edge, collection, questions, _filter(corpora, as_one=True)))
    rates, p50s = ([median([each[n] for each in side]) for side in (after, before)] for n in (0, 1))
    return [
        Row(
            f"mixed, {CLIENTS} clients",
            rates[0],
            rates[1],
            "searches/s",
            rates[0] / rates[1],
            "of before",
        ),
        Row(f"mixed, {CLIENTS} clients, p50", p50s[0], p50s[1], "ms", p50s[0] - p50s[1], "ms added"),
    ]


async def _pace(
    edge: Edge, collection: str, questions: Sequence[str], only: Mapping[str, Any]
) -> tuple[float, float]:
    """Searches a second, and the median of their milliseconds."""
    waiting, took = iter(questions), list[float]()

    async def ask() -> None:
        for question in waiting:
            began = time.perf_counter()
            await edge.search(collection, question, top_k=DEPTH, filter=dict(only))
            took.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(ask() for _ in range(CLIENTS)))
    return len(took) / (time.perf_counter() - began), median(took) * 1e3


def _filter(corpora: Corpora, as_one: bool, hidden: str | None = None) -> dict[str, Any]:  # noqa: FBT001
    languages = {"language": sorted(corpora)} if as_one else {}
    return languages | ({"document_name": {"not": f"{hidden}.txt"}} if hidden else {})


def _row(name: str, unit: str, after: float, before: float) -> Row:
    return Row(name, after, before, unit, after - before, "more than before")
