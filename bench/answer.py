"""Answers: time to the first SSE token, beside Triton's language model called with the same prompt.

Each would find the other's prompt in the model's prompt cache. So the bare engine gets the mesh's prompt with one
word put at its start: as long, and as cold.
"""

import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from bench.corpus import Question
from bench.edge import Edge
from bench.engines import Engines
from ragmesh.chunk import Chunk
from ragmesh.inference.port import Message, Sampling
from svc_query import prompt
from svc_query.sources import Source

SALT = "Notice: "
TOKENS = 48


@dataclass(frozen=True, slots=True)
class Timed:
    """One answer."""

    first_token_s: float
    tokens_per_s: float
    prompt_tokens: int


@dataclass(frozen=True, slots=True)
class AnswerTimes:
    """Answers to the same questions, one at a time, through the mesh and by the engine alone."""

    mesh: Sequence[Timed]
    engine: Sequence[Timed]

    @property
    def first_token_ratio(self) -> float:
        """Time to first token through the mesh over that of the engine: median over the pairs."""
        return median(m.first_token_s / e.first_token_s for m, e in zip(self.mesh, self.engine, strict=True))


async def beside_model(edge: Edge, engines: Engines, collection: str, questions: Sequence[Question]) -> AnswerTimes:
    """Asks each question, then gives the model alone the prompt that the mesh must have made of it."""
    pairs = [await _pair(edge, engines, collection, question.text) for question in questions]
    return AnswerTimes([mesh for mesh, _ in pairs], [engine for _, engine in pairs])


async def _pair(edge: Edge, engines: Engines, collection: str, question: str) -> tuple[Timed, Timed]:
    answered = await edge.answer(collection, question, max_tokens=TOKENS)
    writing_s = answered.seconds - answered.first_token_s
    mesh = Timed(answered.first_token_s, answered.tokens / writing_s, answered.prompt_tokens)
    sources = [Source(chunk, 0.0, found=chunk) for chunk in map(_chunk, answered.sources)]
    packed = prompt.pack(question, sources, engines.llm)
    return mesh, await _generate(engines, _salted(packed.messages))


async def _generate(engines: Engines, messages: Sequence[Message]) -> Timed:
    began = time.perf_counter()
    first = 0.0
    async with aclosing(engines.llm.generate(messages, Sampling(max_tokens=TOKENS))) as pieces:
        async for piece in pieces:
            first = first or time.perf_counter()
            if piece.finish_reason:
                rate = piece.completion_tokens / (time.perf_counter() - first)
                return Timed(first - began, rate, piece.prompt_tokens)
    raise RuntimeError("the model ended without saying so")


def _salted(messages: Sequence[Message]) -> list[Message]:
    return [replace(messages[0], content=SALT + messages[0].content), *messages[1:]]


def _chunk(source: dict[str, Any]) -> Chunk:
    """A passage as the prompt needs it."""
    return Chunk(
        collection_id="",
        document_id=source["document_id"],
        generation=0,
        ordinal=0,
        document_name=source["document_name"],
        content_type="",
        page=source["page"],
        start=source["start"],
        end=source["end"],
        text=source["text"],
    )
