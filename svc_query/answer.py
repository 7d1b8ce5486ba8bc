"""What answering is: find, read, write with citations.

    async for event in answer(question, retriever=retriever, llm=llm):
        ...   # Sources, Token*, Usage, Done

Where nothing is found, the answer says so and no model is asked. Where the model does not speak the question's
language, the answer quotes the closest passages: what such a model writes would only look like an answer.
"""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Literal

from prometheus_client import Counter, Histogram

from ragmesh.errors import Unavailable
from ragmesh.inference.port import LanguageModel, Piece, Sampling
from ragmesh.storage.vectors.port import Hit
from ragmesh.telemetry.metrics import LATENCY_BUCKETS_S
from ragmesh.terms import terms
from svc_query.cite import MARK, Citing
from svc_query.condense import Turn, by_model, words
from svc_query.events import AnswerEvent, Citation, Done, FinishReason, Sources, Token, Usage
from svc_query.language import readable_share
from svc_query.prompt import budget, pack
from svc_query.retrieve import Retriever, Search
from svc_query.sentences import excerpt
from svc_query.timings import Timings, observe
from svc_query.wording import wording_for

FIRST_TOKEN_SECONDS = Histogram(
    "ragmesh_first_token_seconds", "From the question to the first word of its answer", buckets=LATENCY_BUCKETS_S
)
TOKENS = Counter("ragmesh_llm_tokens_total", "Tokens that the language model read and wrote", ["kind"])

SPOKEN_MIN = 0.5  # share of a question that a model must be able to read to answer it
QUOTES_MAX = 3
QUOTE_BYTES = 400

Condense = Literal["words", "model", "off"]  # how a question of a conversation is made to stand alone


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and how the answer is drawn."""

    search: Search
    sampling: Sampling
    history: tuple[Turn, ...] = ()  # what was said before, oldest first
    instruction: str = ""  # the asker's wish for the answer's manner

    @property
    def text(self) -> str:
        """The question itself."""
        return self.search.text


async def answer(
    question: Question, *, retriever: Retriever, llm: LanguageModel, condense: Condense
) -> AsyncGenerator[AnswerEvent, None]:
    """Streams an answer: its sources first, then its text, then what it cost. Closing it stops the model.

    Raises what condensing and retrieval raise before the first event; after it what the model raises.
    """
    began = time.perf_counter()
    asked = await _alone(question, llm, condense)
    found = await retriever.retrieve(asked.search)
    planning = time.perf_counter()
    plan = _plan(asked, found.hits, llm)
    prompt_s = time.perf_counter() - planning
    yield Sources(plan.passages, asked.text)

    text = _Text(Citing(plan.evidence, asked.text))
    async with aclosing(plan.pieces) as pieces:
        async for piece in pieces:
            if shown := text.add(piece):
                yield Token(shown)
    if rest := text.finish():
        yield Token(rest)

    yield text.usage
    timings = replace(found.timings, prompt_s=prompt_s, **text.seconds(), total_s=time.perf_counter() - began)
    _observe(timings, text.usage)
    model = f"{llm.info.name}/{llm.info.version}" if plan.is_written else ""
    yield Done(text.reason, cited(text.shown, plan.passages), timings, model)


async def _alone(question: Question, llm: LanguageModel, condense: Condense) -> Question:
    """The question as it can be understood without the conversation."""
    if not question.history or condense == "off":
        return question
    if condense == "model" and readable_share(question.text, llm.info.languages) >= SPOKEN_MIN:
        text = await by_model(question.text, question.history, llm)
    else:
        text = words(question.text, question.history)
    return replace(question, search=replace(question.search, text=text))


def cited(text: str, passages: Sequence[Citation]) -> tuple[Citation, ...]:
    """The passages whose markers stand in a text, in order of appearance."""
    numbers = dict.fromkeys(int(mark[1]) for mark in MARK.finditer(text))
    return tuple(passages[number - 1] for number in numbers if 1 <= number <= len(passages))


@dataclass(frozen=True, slots=True)
class _Plan:
    """What an answer rests on, and its text, which nobody writes before it is asked for."""

    passages: tuple[Citation, ...]
    evidence: Sequence[str]  # of each passage, what sentences without a mark may be traced to
    pieces: AsyncGenerator[Piece, None]
    is_written: bool = False  # by a model


def _plan(question: Question, hits: Sequence[Hit], llm: LanguageModel) -> _Plan:
    """Whether to write, to quote, or to say that nothing was found."""
    told = wording_for(question.text)
    if not hits:
        return _Plan((), (), _say(told.nothing_found, finish_reason=FinishReason.NOT_FOUND))
    if readable_share(question.text, llm.info.languages) < SPOKEN_MIN:
        passages = _numbered(_closest(question, hits))
        quotes = (_quote(passage, question) for passage in passages)
        return _Plan(passages, [""] * len(passages), _say(told.quoting, *quotes))  # quotes are marked already
    prompt = pack(
        question.text,
        [hit.chunk for hit in hits],
        budget(llm.info),
        history=question.history,
        instruction=question.instruction,
    )
    passages = _numbered(hits[: prompt.sources])
    longest = min(question.sampling.max_tokens, llm.info.context_length // 2)
    pieces = llm.generate(prompt.messages, replace(question.sampling, max_tokens=longest))
    return _Plan(passages, [passage.chunk.text for passage in passages], pieces, is_written=True)


def _numbered(hits: Sequence[Hit]) -> tuple[Citation, ...]:
    return tuple(Citation(number, hit.chunk, hit.score) for number, hit in enumerate(hits, start=1))


def _closest(question: Question, hits: Sequence[Hit]) -> Sequence[Hit]:
    """The hits worth quoting: the first, and those that share at least half as many terms with the question."""
    asked = terms(question.text)
    shared = [len(asked & terms(hit.chunk.text)) for hit in hits]
    return [hit for hit, count in zip(hits, shared, strict=True) if 2 * count >= shared[0]][:QUOTES_MAX]


def _quote(passage: Citation, question: Question) -> str:
    quoted = excerpt(passage.chunk.text, question.text, QUOTE_BYTES)
    return f"\n\n{' '.join(quoted.split())} {passage.marker}"


async def _say(*texts: str, finish_reason: FinishReason = FinishReason.STOP) -> AsyncGenerator[Piece, None]:
    """Text that no model writes."""
    for text in texts:
        yield Piece(text)
    yield Piece("", finish_reason)


@dataclass(slots=True)
class _Text:
    """An answer's text while it is written."""

    citing: Citing
    shown: str = ""
    began: float = field(default_factory=time.perf_counter)
    first_at: float | None = None
    last: Piece = field(default_factory=lambda: Piece(""))

    def add(self, piece: Piece) -> str:
        """What can be shown now."""
        if piece.text and self.first_at is None:
            self.first_at = time.perf_counter()
        self.last = piece
        return self._show(self.citing.feed(piece.text))

    def finish(self) -> str:
        """The rest of it. Raises Unavailable where the model broke off."""
        if self.last.finish_reason is None:
            raise Unavailable("the language model broke off in the middle of the answer; ask again")
        return self._show(self.citing.finish())

    @property
    def reason(self) -> FinishReason:
        return FinishReason(self.last.finish_reason or FinishReason.STOP)

    @property
    def usage(self) -> Usage:
        return Usage(self.last.prompt_tokens, self.last.completion_tokens)

    def seconds(self) -> dict[str, float]:
        """How long the writing took, by this moment."""
        now = time.perf_counter()
        return {"first_token_s": (self.first_at or now) - self.began, "generate_s": now - self.began}

    def _show(self, text: str) -> str:
        self.shown += text
        return text


def _observe(timings: Timings, usage: Usage) -> None:
    observe("answer", timings)
    FIRST_TOKEN_SECONDS.observe(timings.total_s - timings.generate_s + timings.first_token_s)
    TOKENS.labels("prompt").inc(usage.prompt_tokens)
    TOKENS.labels("completion").inc(usage.completion_tokens)
