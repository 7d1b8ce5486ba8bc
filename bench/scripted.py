"""`python -m bench.scripted`: a stand-in for the query service that finds and writes at no cost.

It searches nothing and asks no model: a search finds eight passages of ordinary length, an answer has 200 tokens.
Its server, its interceptor and its messages are the real ones. So what is in front of it is what a bench measures.
"""

import asyncio
from collections.abc import AsyncGenerator

import grpc

from bench.corpus import synthetic
from ragmesh.rpc.config import Live
from ragmesh.rpc.server import run, serving
from ragmesh.v1 import (
    AnswerEvent,
    AnswerRequest,
    Chunk,
    Citation,
    Done,
    FinishReason,
    QueryServiceServicer,
    SearchMode,
    SearchRequest,
    SearchResponse,
    SearchResult,
    Sources,
    Timings,
    Token,
    Usage,
)

PACED = "paced"  # the collection whose answers come at the pace of a model; all others come at once
PACE_S = 0.02
RESULTS = 8
CITED = 4
TOKENS = 200


class ScriptedQueries(QueryServiceServicer):
    """Says the same to everybody."""

    def __init__(self) -> None:
        self._chunks = [
            _chunk(number, passage.text) for number, passage in enumerate(synthetic(passages=RESULTS).passages)
        ]

    async def search(self, request: SearchRequest, context: grpc.aio.ServicerContext) -> SearchResponse:
        return SearchResponse(
            results=[SearchResult(chunk=chunk, score=0.5) for chunk in self._chunks],
            timings=Timings(embed_ms=4, search_ms=6, total_ms=10),
            mode=SearchMode.HYBRID,
        )

    async def answer(
        self, request: AnswerRequest, context: grpc.aio.ServicerContext
    ) -> AsyncGenerator[AnswerEvent, None]:
        citations = [
            Citation(marker=f"[{number}]", chunk=chunk, score=0.5)
            for number, chunk in enumerate(self._chunks[:CITED], 1)
        ]
        yield AnswerEvent(sources=Sources(citations=citations, query=request.question))
        for number in range(TOKENS):
            if request.collection == PACED:
                await asyncio.sleep(PACE_S)
            yield AnswerEvent(token=Token(text=f" word{number}"))
        yield AnswerEvent(usage=Usage(prompt_tokens=900, completion_tokens=TOKENS))
        done = Done(finish_reason=FinishReason.STOP, citations=citations[:1], timings=Timings(total_ms=10))
        yield AnswerEvent(done=done)


def _chunk(number: int, text: str) -> Chunk:
    return Chunk(
        chunk_id=f"019abcde-0000-7000-8000-00000000000{number}:1:0",
        document_id=f"019abcde-0000-7000-8000-00000000000{number}",
        document_name=f"handbook-{number}.md",
        page=number + 1,
        end=len(text),
        text=text,
        metadata={"team": "payments", "year": "2026"},
        headings=["Handbook", "Rules"],
    )


async def main(live: Live) -> None:
    """Serves until it is asked to stop."""
    async with serving("query", [ScriptedQueries()], live) as running:
        await running.stopped()


if __name__ == "__main__":
    run("query", main)
