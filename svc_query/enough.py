"""Whether what was found can answer: search always finds something, and the closest passage may still be off.

Two things tell, and together better than either: how near the nearest passage is in meaning, and how many of the
question's words the best passage has. Their weighted sum is compared with a threshold for each embedder and
language, set where few questions that have an answer are refused (decision 0016; `python -m bench.refusals` shows
the trade-off). What nobody has calibrated is never refused: another embedder, another language, passages in another
script than the question's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ragmesh.chunk import Chunk
from ragmesh.terms import terms
from svc_query.language import likeness, readable_share

MOSTLY = 0.5
SAMPLE_CHARS = 200


@dataclass(frozen=True, slots=True)
class Calibration:
    """Of one embedder in one language."""

    cosine_weight: float  # beside the share of words; by how far apart the embedder's cosines are
    least: float  # evidence from which on passages may answer


CALIBRATIONS: Mapping[tuple[str, str], Calibration] = {  # by name of the embedder and language of the question
    ("e5-small", "en"): Calibration(5.0, 4.45),
    ("e5-small", "zh"): Calibration(5.0, 4.58),
    ("minilm-l6", "en"): Calibration(0.7, 0.57),
}


def is_enough(question: str, passages: Sequence[Chunk], cosine: float | None, embedder: str) -> bool:
    """Whether passages may answer a question. `cosine`: of the nearest; None where only words were searched for."""
    calibration = calibration_of(question, embedder)
    if calibration is None or cosine is None or not _is_comparable(question, passages):
        return True
    return evidence(question, passages, cosine, calibration) >= calibration.least


def calibration_of(question: str, embedder: str) -> Calibration | None:
    """What was found for questions in this language; None where nobody has looked."""
    language = "zh" if readable_share(question, frozenset({"zh"})) > MOSTLY else "en"
    is_spelled_so = readable_share(question, frozenset({language})) > MOSTLY
    return CALIBRATIONS.get((embedder, language)) if is_spelled_so else None


def evidence(question: str, passages: Sequence[Chunk], cosine: float, calibration: Calibration) -> float:
    """How much speaks for it that passages answer a question."""
    return calibration.cosine_weight * cosine + coverage(question, passages)


def coverage(question: str, passages: Sequence[Chunk]) -> float:
    """The largest share of a question's terms that one passage has, titles among its words; 1 without terms."""
    asked = terms(question)
    if not asked:
        return 1.0
    return max(len(asked & terms(passage.titled)) / len(asked) for passage in passages)


def _is_comparable(question: str, passages: Sequence[Chunk]) -> bool:
    """Whether question and passages are in one script: words of another can't be found in them."""
    return all(likeness(question, passage.text[:SAMPLE_CHARS]) > MOSTLY for passage in passages[:1])
