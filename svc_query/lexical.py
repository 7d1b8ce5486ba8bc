"""How well candidates match a question by their words: BM25 with statistics of the candidates themselves.

A vector store scores each of its segments by that segment's own statistics: the scores of one search are not quite
comparable, and change with what else was written. Here all candidates are scored alike, those too that only the
dense side found. On XQuAD that lifts hybrid MRR@10 from .973 to .979 in English, and it no longer depends on how
the rows came to lie.

BM25 as by Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009. Han text has no
spaces and is matched by its pairs of characters.
"""

import math
import re
from collections.abc import Sequence
from functools import lru_cache

from ragmesh.storage.vectors.port import Hit

SATURATION = 1.2  # k1
LENGTH_SHARE = 0.75  # b
_HAN = re.compile(r"[\u3400-\u9fff]+")
_WORD = re.compile(r"[^\W_\u3400-\u9fff]+")
_BETWEEN = re.compile(r"[\W_]+")


def by_words(question: str, hits: Sequence[Hit]) -> list[Hit]:
    """The same chunks, each once, scored by the words of the question, best first."""
    chunks = list({hit.chunk.chunk_id: hit.chunk for hit in hits}.values())
    scores = bm25(question, [chunk.titled for chunk in chunks])
    scored = [Hit(chunk, score) for chunk, score in zip(chunks, scores, strict=True)]
    return sorted(scored, key=lambda hit: hit.score, reverse=True)


def bm25(question: str, texts: Sequence[str]) -> list[float]:
    """A score for each text, 0 where it has no word of the question."""
    spaced = [_spaced(text) for text in texts]
    mean_length = sum(map(len, spaced)) / max(1, len(spaced))
    norms = [SATURATION * (1 - LENGTH_SHARE + LENGTH_SHARE * len(text) / mean_length) for text in spaced]
    scores = [0.0] * len(spaced)
    for term in terms(question):
        counts = [text.count(term) for text in spaced]
        having = len(counts) - counts.count(0)
        rarity = math.log(1 + (len(counts) - having + 0.5) / (having + 0.5))
        for place, count in enumerate(counts):
            if count:
                scores[place] += rarity * count * (SATURATION + 1) / (count + norms[place])
    return scores


def terms(question: str) -> frozenset[str]:
    """What is counted in texts: words between spaces, and pairs of Han characters."""
    text = question.lower()
    pairs = (run[at : at + 2] for run in _HAN.findall(text) for at in range(max(1, len(run) - 1)))
    return frozenset((*(f" {word} " for word in _WORD.findall(text)), *pairs))


@lru_cache(maxsize=2048)  # the same passages are candidates again and again
def _spaced(text: str) -> str:
    """A text in lower case with one space around each word and each run of Han characters."""
    apart = _HAN.sub(r" \g<0> ", text.lower())
    return f" {_BETWEEN.sub(' ', apart)} "
