"""Golden questions: what a version of a model must be able to do before requests go to it.

    verdict = await of_embedder(candidate, in_use, questions)
    verdict.passed, verdict.reason      # False, "recall@1 is 0.29, and must be at least 0.90"

A version is measured beside the one in use where there is one: as good but for a little, and not much slower.
"""

import math
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from statistics import mean, median

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ragmesh.errors import FailedPrecondition
from ragmesh.inference.port import Embedder, LanguageModel, Message, Role, Sampling
from ragmesh.settings import explain

OURS = Path(str(files("triton_models"))) / "golden.yaml"

RECALL_MIN = 0.8  # where none is in use to compare with
WORSE_MAX = 0.1  # than the one in use
SLOWER_MAX = 3.0  # times the one in use
FAST_MS = 500.0  # is fast enough, whatever the one in use takes: few questions on a busy machine tell no more
SLOW_MAX_MS = 5_000.0  # where none is in use
ANSWERED_MIN = 0.25
ANSWER_TOKENS = 32


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Pair(_Strict):
    """A question, and the passage that answers it."""

    language: str
    question: str
    passage: str


class Fact(_Strict):
    """Something that a language model is given, a question about it, and what its answer must say."""

    given: str
    question: str
    says: str


class Questions(_Strict):
    """A file of golden questions."""

    pairs: tuple[Pair, ...] = Field(min_length=2)
    facts: tuple[Fact, ...] = Field(min_length=1)

    def spoken(self, languages: frozenset[str]) -> Sequence[Pair]:
        """The pairs in these languages. Raises FailedPrecondition where there are too few to tell anything."""
        pairs = [pair for pair in self.pairs if pair.language in languages]
        if len(pairs) < 2:
            raise FailedPrecondition(f"no golden question is in {', '.join(sorted(languages))}: RAGMESH_GOLDEN")
        return pairs


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure, and whether it is good enough."""

    name: str
    value: float
    present: float | None  # of the version in use
    limit: float
    more_is_better: bool = True

    @property
    def passed(self) -> bool:
        return self.value >= self.limit if self.more_is_better else self.value <= self.limit

    def __str__(self) -> str:
        bound = "at least" if self.more_is_better else "at most"
        return f"{self.name} is {self.value:.2f}, and must be {bound} {self.limit:.2f}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a version did."""

    measures: tuple[Measure, ...]

    @property
    def passed(self) -> bool:
        """Whether it may be used."""
        return all(measure.passed for measure in self.measures)

    @property
    def reason(self) -> str:
        """Why not; empty where it may."""
        return "; ".join(str(measure) for measure in self.measures if not measure.passed)


def read(file: Path | None) -> Questions:
    """The golden questions of a file, or ours. Raises FailedPrecondition where it can't be read."""
    source = file or OURS
    try:
        return Questions.model_validate(yaml.safe_load(source.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError) as error:
        raise FailedPrecondition(f"the golden questions in {source} can't be read: {error}") from None
    except ValidationError as error:
        raise FailedPrecondition(f"{source} is no file of golden questions:\n{explain(error, prefix='')}") from None


async def of_embedder(candidate: Embedder, present: Embedder | None, questions: Questions) -> Verdict:
    """Whether an embedding model finds passages, in all languages that it says it reads. Raises MeshError."""
    pairs = questions.spoken(candidate.info.languages)
    recall, took_ms = await _finds(candidate, pairs)
    if present is None:
        return Verdict((Measure("recall@1", recall, None, RECALL_MIN), _fast_enough(took_ms, None)))
    shared = [pair for pair in pairs if pair.language in present.info.languages]
    before, before_ms = await _finds(present, shared or pairs)
    limit = min(RECALL_MIN, before - WORSE_MAX)
    return Verdict((Measure("recall@1", recall, before, limit), _fast_enough(took_ms, before_ms)))


async def of_language_model(
    candidate: LanguageModel, present: LanguageModel | None, questions: Questions
) -> Verdict:
    """Whether a language model says what it was given, and begins soon. Raises MeshError."""
    share, first_ms = await _answers(candidate, questions.facts)
    if present is None:
        return Verdict((Measure("answered", share, None, ANSWERED_MIN), _fast_enough(first_ms, None)))
    before, before_ms = await _answers(present, questions.facts)
    limit = min(ANSWERED_MIN, before)
    return Verdict((Measure("answered", share, before, limit), _fast_enough(first_ms, before_ms)))


def _fast_enough(took_ms: float, before_ms: float | None) -> Measure:
    limit = SLOW_MAX_MS if before_ms is None else max(SLOWER_MAX * before_ms, FAST_MS)
    return Measure("ms", took_ms, before_ms, limit, more_is_better=False)


async def _finds(embedder: Embedder, pairs: Sequence[Pair]) -> tuple[float, float]:
    """The share of questions whose passage is nearest, and milliseconds a question."""
    passages = await embedder.embed([pair.passage for pair in pairs], Role.PASSAGE)
    took_s, right = list[float](), list[bool]()
    for place, pair in enumerate(pairs):
        began = time.perf_counter()
        (question,) = await embedder.embed([pair.question], Role.QUERY)
        took_s.append(time.perf_counter() - began)
        right.append(bool(np.isfinite(question).all()) and int(np.argmax(passages @ question)) == place)
    return mean(right), median(took_s) * 1e3


async def _answers(llm: LanguageModel, facts: Sequence[Fact]) -> tuple[float, float]:
    """The share of facts that it repeats, and milliseconds to its first token."""
    first_s, right = list[float](), list[bool]()
    for fact in (facts[0], *facts):  # the first one warms it up
        began, said = time.perf_counter(), ""
        asked = Message("user", f"{fact.given}\n\n{fact.question}")
        async with aclosing(llm.generate([asked], Sampling(max_tokens=ANSWER_TOKENS))) as pieces:
            async for piece in pieces:
                if not said:
                    first_s.append(time.perf_counter() - began)
                said += piece.text
        right.append(fact.says.casefold() in said.casefold())
    return mean(right[1:]), median(first_s[1:] or [math.inf]) * 1e3
