"""What answering is: find, read, write with citations.

    async for event in answer(question, retriever=retriever, llm=llm, manner=Manner()):
        ...   # Sources, Token*, Usage, Done

Where nothing is found that can answer, the answer says so and no model is asked. Where the model does not speak
the question's language, or can't read the passage that fits best, the answer quotes the closest passages: what such
a model writes would only look like an answer. Where no passage supports what the model wrote, the closest one is
quoted after it.
"""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Literal

from prometheus_client import Counter, Histogram

from ragmesh.errors import Unavailable
from ragmesh.inference.port import LanguageModel, Piece, Sampling
from ragmesh.telemetry.metrics import LATENCY_BUCKETS_S
from ragmesh.terms import terms
from svc_query.cite import MARK, Citing
from svc_query.condense import Turn, by_model, words
from svc_query.enough import is_enough
from svc_query.events import AnswerEvent, Citation, Done, FinishReason, Sources, Token, Usage
from svc_query.language import readable_share
from svc_query.prompt import Prompt, budget, pack
from svc_query.retrieve import Retrieved, Retriever, Search
from svc_query.sentences import excerpt
from svc_query.sources import Source, as_sources
from svc_query.timings import Timings, observe
from svc_query.wording import wording_for

FIRST_TOKEN_SECONDS = Histogram(
    "ragmesh_first_token_seconds", "From the question to the first word of its answer", buckets=LATENCY_BUCKETS_S
)
PROMPT_SHARE = Histogram(
    "ragmesh_prompt_budget_share",
    "Share of its budget that a prompt uses",
    buckets=(0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0),
)
MISCOUNTED = Counter("ragmesh_prompt_miscounted_total", "Prompts that were longer for the model than was counted")
ANSWERS = Counter("ragmesh_answers_total", "Answers by what they rest on", ["rest_on"])
MARKS_REMOVED = Counter("ragmesh_citations_removed_total", "Marks of a model that named no source and were removed")
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


@dataclass(frozen=True, slots=True)
class Manner:
    """How this mesh answers, whatever is asked."""

    condense: Condense = "words"
    grounded: bool = True  # says so where the documents don't answer, and quotes them where nothing can be traced


async def answer(
    question: Question, *, retriever: Retriever, llm: LanguageModel, manner: Manner
) -> AsyncGenerator[AnswerEvent, None]:
    """Streams an answer: its sources first, then its text, then what it cost. Closing it stops the model.

    Raises what condensing and retrieval raise before the first event; after it what the model raises.
    """
    began = time.perf_counter()
    asked = await _alone(question, llm, manner.condense)
    found = await retriever.retrieve(asked.search)
    planning = time.perf_counter()
    plan = _plan(question.text, asked, found, llm, manner)
    prompt_s = time.perf_counter() - planning
    yield Sources(plan.passages, asked.text)

    text = _Text(Citing(plan.evidence, asked.text))
    async with aclosing(plan.pieces) as pieces:
        async for piece in pieces:
            if shown := text.add(piece):
                yield Token(shown)
    if rest := text.finish():
        yield Token(rest)
    if text.is_untraced and (quote := plan.otherwise):
        yield Token(text.show(quote))

    yield text.usage
    timings = replace(found.timings, prompt_s=prompt_s, **text.seconds(), total_s=time.perf_counter() - began)
    _observe(timings, text, plan, budget(llm.info))
    model = f"{llm.info.name}/{llm.info.version}" if plan.prompt else ""
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
    prompt: Prompt | None = None  # what the model reads, where one does
    otherwise: str = ""  # to be said where no passage supports the text


def _plan(spoken: str, question: Question, found: Retrieved, llm: LanguageModel, manner: Manner) -> _Plan:
    """Whether to write, to quote, or to say that the documents don't answer.

    `spoken` is the question as it was put, which stands in `question` with what it leans on.
    """
    told = wording_for(question.text)
    sources = as_sources(found.hits)
    if not sources:
        return _Plan((), (), _say(told.nothing_found, finish_reason=FinishReason.NOT_FOUND))
    if manner.grounded and not any(_may_answer(text, found, sources) for text in {spoken, question.text}):
        passages = _numbered(sources)  # to be seen, but not cited
        return _Plan(passages, (), _say(told.nothing_found, finish_reason=FinishReason.NOT_FOUND))
    if not _reads(llm, question.text):
        return _quoting(told.quoting, question, sources)
    if not _reads(llm, sources[0].chunk.text):
        return _quoting(told.quoting_others, question, sources)
    return _written(question, [source for source in sources if _reads(llm, source.chunk.text)], llm, manner)


def _may_answer(text: str, found: Retrieved, sources: Sequence[Source]) -> bool:
    return is_enough(text, [source.chunk for source in sources], found.cosine, found.embedder)


def _reads(llm: LanguageModel, text: str) -> bool:
    return readable_share(text, llm.info.languages) >= SPOKEN_MIN


def _quoting(opening: str, question: Question, sources: Sequence[Source]) -> _Plan:
    """The closest passages in their own words."""
    closest = _closest(question, sources)
    quotes = (_quote(number, source, question) for number, source in enumerate(closest, start=1))
    return _Plan(_numbered(closest), [""] * len(closest), _say(opening, *quotes))  # quotes are marked already


def _written(question: Question, sources: Sequence[Source], llm: LanguageModel, manner: Manner) -> _Plan:
    """An answer in the model's words."""
    prompt = pack(question.text, sources, llm, history=question.history, instruction=question.instruction)
    passages = _numbered(sources[: prompt.sources])
    longest = min(question.sampling.max_tokens, llm.info.context_length // 2)
    pieces = llm.generate(prompt.messages, replace(question.sampling, max_tokens=longest))
    ends_elsewhere = bool(question.sampling.stop)  # whoever says where a text ends wants nothing behind it
    otherwise = "" if ends_elsewhere or not manner.grounded else _instead(question, sources)
    return _Plan(passages, [passage.chunk.text for passage in passages], pieces, prompt, otherwise)


def _instead(question: Question, sources: Sequence[Source]) -> str:
    """What stands behind a text that can't be traced to any passage."""
    return f"\n\n{wording_for(question.text).untraced}{_quote(1, sources[0], question)}"


def _numbered(sources: Sequence[Source]) -> tuple[Citation, ...]:
    return tuple(Citation(number, source.chunk, source.score) for number, source in enumerate(sources, start=1))


def _closest(question: Question, sources: Sequence[Source]) -> Sequence[Source]:
    """What is worth quoting: the first, and those that share at least half as many terms with the question."""
    asked = terms(question.text)
    shared = [len(asked & terms(source.chunk.text)) for source in sources]
    return [source for source, count in zip(sources, shared, strict=True) if 2 * count >= shared[0]][:QUOTES_MAX]


def _quote(number: int, source: Source, question: Question) -> str:
    quoted = excerpt(source.chunk.text, question.text, QUOTE_BYTES, best_at=source.found_at)
    return f"\n\n{' '.join(quoted.split())} [{number}]"


async def _say(*texts: str, finish_reason: FinishReason = FinishReason.STOP) -> AsyncGenerator[Piece, None]:
    """Text that no model writes."""
    for text in texts:
        yield Piece(text)
    yield Piece("", finish_reason)


@dataclass(slots=True)
class _Text:
    """An answer's text while it is written."""

    citing: Citing
    shown: str = ""  # with its marks
    began: float = field(default_factory=time.perf_counter)
    first_at: float | None = None
    last: Piece = field(default_factory=lambda: Piece(""))

    def add(self, piece: Piece) -> str:
        """What can be shown now."""
        if piece.text and self.first_at is None:
            self.first_at = time.perf_counter()
        self.last = piece
        return self.show(self.citing.feed(piece.text))

    def finish(self) -> str:
        """The rest of it. Raises Unavailable where the model broke off."""
        if self.last.finish_reason is None:
            raise Unavailable("the language model broke off in the middle of the answer; ask again")
        return self.show(self.citing.finish())

    def show(self, text: str) -> str:
        """The same text, as a part of what the reader has."""
        self.shown += text
        return text

    @property
    def is_untraced(self) -> bool:
        """Whether a complete text has no mark."""
        return self.reason is FinishReason.STOP and not MARK.search(self.shown)

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


def _observe(timings: Timings, text: _Text, plan: _Plan, budget_tokens: int) -> None:
    usage = text.usage
    observe("answer", timings)
    ANSWERS.labels(_rests_on(text, plan)).inc()
    MARKS_REMOVED.inc(text.citing.removed)
    if plan.prompt:
        PROMPT_SHARE.observe(plan.prompt.tokens / budget_tokens)
        MISCOUNTED.inc(usage.prompt_tokens > plan.prompt.tokens)
    FIRST_TOKEN_SECONDS.observe(timings.total_s - timings.generate_s + timings.first_token_s)
    TOKENS.labels("prompt").inc(usage.prompt_tokens)
    TOKENS.labels("completion").inc(usage.completion_tokens)


def _rests_on(text: _Text, plan: _Plan) -> str:
    if text.reason is FinishReason.NOT_FOUND:
        return "nothing"
    if not plan.prompt:
        return "quotes"
    if not MARK.search(text.shown):
        return "the model alone"
    return "a quote behind it" if text.shown.endswith(plan.otherwise) and plan.otherwise else "citations"
