"""How a question is asked, and what is answered."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Self, TypedDict

from ragmesh.errors import BY_CODE, Internal
from ragmesh.v1 import (
    AnswerEvent,
    AnswerRequest,
    Citation,
    Done,
    Filter,
    FinishReason,
    SearchMode,
    Timings,
    Usage,
)


class Sampling(TypedDict, total=False):
    """How a text is written."""

    max_tokens: int | None  # longest text; the mesh's usual length where it is not given
    temperature: float | None  # 0 for the likeliest text, up to 2
    top_p: float | None  # nucleus sampling, above 0 to 1
    seed: int | None  # makes sampling repeatable
    stop: Sequence[str]  # texts at which it ends


class AnswerOptions(Sampling, total=False):
    """How a question is answered."""

    top_k: int | None  # passages to read
    mode: SearchMode  # how they are found
    where: Filter | None  # which of them may be read
    rerank: bool  # order them with the reranking model
    instruction: str  # the answer's manner, as "Answer in one sentence."


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    text: str
    citations: Sequence[Citation] = ()  # whose markers stand in the text, in order of appearance
    sources: Sequence[Citation] = ()  # all that the model read
    finish_reason: FinishReason = FinishReason.UNSPECIFIED
    usage: Usage = field(default_factory=Usage)
    timings: Timings = field(default_factory=Timings)
    model: str = ""  # name/version of the language model that wrote it; empty where none did

    @classmethod
    async def of(cls, events: AsyncIterator[AnswerEvent]) -> Self:
        """Reads a stream of events to its end."""
        return cls.of_events([event async for event in events])

    @classmethod
    def of_events(cls, events: Sequence[AnswerEvent]) -> Self:
        """Puts the events of an answer together."""
        done = next((event.done for event in events if event.done), Done())
        sources = next((event.sources.citations for event in events if event.sources), ())
        return cls(
            "".join(event.token.text for event in events if event.token),
            citations=done.citations,
            sources=sources,
            finish_reason=done.finish_reason,
            usage=next((event.usage for event in events if event.usage), Usage()),
            timings=done.timings or Timings(),
            model=done.model,
        )


def asking(question: str, collection: str, options: AnswerOptions) -> AnswerRequest:
    """A question as it is sent."""
    return AnswerRequest(
        collection=collection,
        question=question,
        top_k=options.get("top_k"),
        mode=options.get("mode", SearchMode.UNSPECIFIED),
        filter=options.get("where"),
        rerank=options.get("rerank", False),
        max_tokens=options.get("max_tokens"),
        temperature=options.get("temperature"),
        top_p=options.get("top_p"),
        seed=options.get("seed"),
        stop=list(options.get("stop", ())),
        instruction=options.get("instruction", ""),
    )


async def unbroken(answering: AsyncGenerator[AnswerEvent, None]) -> AsyncGenerator[AnswerEvent, None]:
    """The events of an answer. Raises what it broke off with, so that half an answer is never taken for a whole."""
    async with aclosing(answering) as events:
        async for event in events:
            yield whole(event)


def whole(event: AnswerEvent) -> AnswerEvent:
    """An event that is no failure. Raises the failure."""
    if event.error:
        raise BY_CODE.get(event.error.code, Internal)(event.error.message)
    return event
