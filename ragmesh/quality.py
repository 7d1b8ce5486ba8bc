"""How good search and answers are: where the expected is found, and how much of an answer its sources support."""

import re
import statistics
from collections.abc import Mapping, Sequence

from ragmesh.evidence import Evidence
from ragmesh.terms import terms

DEPTH = 10

_MARK = re.compile(r"\s*\[\d{1,3}\]")
# A sentence has the marks that follow its end.
_SENTENCE = re.compile(
    r".+?(?:[。！？；]+[”’」』）]*|[.!?…]+[\"'”’)]*(?=\s|\Z)|\n+|\Z)(?:[ ]*\[\d{1,3}\])*\s*", re.DOTALL
)


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


def groundedness(question: str, answer: str, passages: Mapping[str, str]) -> float | None:
    """The share of an answer's sentences with a mark whose passage supports them; None where it says nothing.

    `passages` are texts by their marks, as "[1]". A passage supports a sentence that shares at least half of its
    content words with it, a third of those that the question did not have, and all of its numbers.
    """
    said = [sentence for sentence in _SENTENCE.findall(answer) if terms(_MARK.sub("", sentence))]
    if not said:
        return None
    asked = terms(question)
    return statistics.fmean(_is_grounded(sentence, asked, passages) for sentence in said)


def _is_grounded(sentence: str, asked: frozenset[str], passages: Mapping[str, str]) -> bool:
    claim = Evidence.of(_MARK.sub("", sentence))
    marks = [mark.strip() for mark in _MARK.findall(sentence)]
    return any(Evidence.of(passages[mark]).supports(claim, asked) for mark in marks if mark in passages)
