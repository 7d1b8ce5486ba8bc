"""A language model that is tried on some of the answers, beside the one in use.

Whoever gets it is not to suffer for it: where it fails before its first word, the one in use writes instead. Where
it keeps failing, or is slow to begin, it is refused: no more answers go to it, and the reason is told.
"""

import random
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from statistics import median

import structlog
from prometheus_client import Counter

from ragmesh.errors import MeshError
from ragmesh.inference.port import LanguageModel, LanguageModelInfo, Message, Piece, Sampling, Tokens

log = structlog.get_logger()

TRIES = Counter("ragmesh_canary_answers_total", "Answers that went to a model on trial", ["model", "outcome"])

FAILURES_MAX = 3  # of the latest TRIES_KEPT
TRIES_KEPT = 20
SLOWER_MAX = 2.0  # times the first token of the one in use, at the median
COMPARED_MIN = 10  # of each, before their speeds are compared

Refuse = Callable[[str], None]  # told why


@dataclass(slots=True)
class Record:
    """How the latest answers went."""

    failures: deque[str] = field(default_factory=lambda: deque[str](maxlen=TRIES_KEPT))  # empty for a good one
    first_s: deque[float] = field(default_factory=lambda: deque[float](maxlen=TRIES_KEPT))

    def good(self, first_s: float) -> None:
        """An answer was begun."""
        self.failures.append("")
        self.first_s.append(first_s)

    def bad(self, reason: str) -> None:
        """An answer failed."""
        self.failures.append(reason)


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """Shares answers between the model in use and another; both are judged by how they do here."""

    used: LanguageModel
    tried: LanguageModel
    percent: int
    refuse: Refuse
    of_used: Record = field(default_factory=Record)
    of_tried: Record = field(default_factory=Record)

    def pick(self) -> LanguageModel:
        """The model of one answer."""
        if random.uniform(0, 100) < self.percent:  # noqa: S311 nobody gains by guessing
            return Tried(self)
        return Timed(self.used, self.of_used)

    def judge(self) -> None:
        """Refuses the model on trial, if it is bad."""
        if reason := self._fault():
            TRIES.labels(self.tried.info.name, "refused").inc()
            self.refuse(f"{self.tried.info.name}@{self.tried.info.version}: {reason}")

    def _fault(self) -> str | None:
        failures = [reason for reason in self.of_tried.failures if reason]
        if len(failures) >= FAILURES_MAX:
            return f"{len(failures)} of its latest {len(self.of_tried.failures)} answers failed: {failures[-1]}"
        if min(len(self.of_tried.first_s), len(self.of_used.first_s)) < COMPARED_MIN:
            return None
        tried_s, used_s = median(self.of_tried.first_s), median(self.of_used.first_s)
        if tried_s > SLOWER_MAX * used_s:
            return f"its first token takes {tried_s:.2f} s, that of the model in use {used_s:.2f} s"
        return None


@dataclass(frozen=True, slots=True, eq=False)
class Timed:
    """Implements LanguageModel by another, and notes how it does."""

    model: LanguageModel
    record: Record

    @property
    def info(self) -> LanguageModelInfo:
        return self.model.info

    @property
    def tokens(self) -> Tokens:
        return self.model.tokens

    def prompt_tokens(self, messages: Sequence[Message]) -> int:
        return self.model.prompt_tokens(messages)

    def generate(self, messages: Sequence[Message], sampling: Sampling) -> AsyncGenerator[Piece, None]:
        return _timed(self.model.generate(messages, sampling), self.record)

    def complete(self, prompt: str, sampling: Sampling) -> AsyncGenerator[Piece, None]:
        return _timed(self.model.complete(prompt, sampling), self.record)


@dataclass(slots=True, eq=False)
class Tried:
    """Implements LanguageModel for one answer: by the model on trial, or the one in use where that can't begin."""

    trial: Trial
    _writes: LanguageModel | None = None

    @property
    def info(self) -> LanguageModelInfo:
        """Of the model that writes."""
        return (self._writes or self.trial.tried).info

    @property
    def tokens(self) -> Tokens:
        """Of the model on trial: prompts are made for it."""
        return self.trial.tried.tokens

    def prompt_tokens(self, messages: Sequence[Message]) -> int:
        return self.trial.tried.prompt_tokens(messages)

    def generate(self, messages: Sequence[Message], sampling: Sampling) -> AsyncGenerator[Piece, None]:
        return self._either(lambda model: model.generate(messages, sampling))

    def complete(self, prompt: str, sampling: Sampling) -> AsyncGenerator[Piece, None]:
        return self._either(lambda model: model.complete(prompt, sampling))

    async def _either(
        self, begin: Callable[[LanguageModel], AsyncGenerator[Piece, None]]
    ) -> AsyncGenerator[Piece, None]:
        trial, has_begun = self.trial, False
        try:
            async with aclosing(_timed(begin(trial.tried), trial.of_tried)) as pieces:
                async for piece in pieces:
                    has_begun = True
                    yield piece
            TRIES.labels(trial.tried.info.name, "good").inc()
        except MeshError as error:
            TRIES.labels(trial.tried.info.name, "failed").inc()
            log.warning("canary.failed", model=trial.tried.info.name, reason=error.message)
            if has_begun:
                raise
        finally:
            trial.judge()
        if has_begun:
            return
        self._writes = trial.used
        async with aclosing(begin(trial.used)) as pieces:
            async for piece in pieces:
                yield piece


async def _timed(pieces: AsyncGenerator[Piece, None], record: Record) -> AsyncGenerator[Piece, None]:
    began, has_begun = time.perf_counter(), False
    try:
        async with aclosing(pieces) as written:
            async for piece in written:
                if not has_begun:
                    record.good(time.perf_counter() - began)
                has_begun = True
                yield piece
    except MeshError as error:
        record.bad(error.message)
        raise
