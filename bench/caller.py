"""`python -m bench.caller EDGE_URL QUERY_ADDRESS`: clients of the edge and of gRPC, in a process of their own.

It reads a job a line and prints what each saw. The direct clients use the generated stubs on a channel, as the SDK
does below its surface; those of the edge read JSON and SSE with aiohttp.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Literal, Self
from uuid import uuid4

import uvloop

from bench.corpus import synthetic
from bench.edge import Edge
from bench.load import closed_loop
from ragmesh import settings as configuration
from ragmesh.rpc.channels import open_channel
from ragmesh.v1 import AnswerRequest, QueryServiceStub, SearchRequest

Side = Literal["direct", "edge"]
SIDES: tuple[Side, Side] = ("direct", "edge")
TOP_K = 8
MAX_TOKENS = 200
TIMEOUT_S = 300.0
LINE_MAX_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Job:
    """So many requests of one kind."""

    side: Side
    kind: Literal["search", "stream"]
    collection: str
    clients: int
    requests: int


@dataclass(slots=True)
class Outcome:
    """What the clients of a job saw."""

    seconds: float = 0.0
    latencies_s: list[float] = field(default_factory=list[float])  # to the end of an answer
    first_s: list[float] = field(default_factory=list[float])  # to its first token
    tokens: int = 0
    cpu_s: float = 0.0  # that the clients themselves spent


@dataclass(frozen=True, slots=True)
class Caller:
    """The process, as the bench sees it."""

    process: asyncio.subprocess.Process

    @classmethod
    @asynccontextmanager
    async def of(cls, edge_url: str, query_address: str) -> AsyncIterator[Self]:
        """Starts it, and ends it after the block."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.caller", edge_url, query_address),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE_MAX_BYTES,
        )
        try:
            yield cls(process)
        finally:
            await process.communicate(b"")  # closes its input, at which it ends

    async def run(self, job: Job) -> Outcome:
        """Has it done. Raises RuntimeError where a request failed: the caller's own output tells which."""
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin  # noqa: S101 they are pipes
        assert stdout  # noqa: S101
        stdin.write(json.dumps(asdict(job)).encode() + b"\n")
        if not (line := await stdout.readline()):
            raise RuntimeError(f"the clients broke off at {job}")
        return Outcome(**json.loads(line))


async def main(edge_url: str, query_address: str) -> None:
    """Does jobs until its input ends."""
    channel = open_channel(configuration.load(), query_address)
    async with Edge.at(edge_url) as edge, channel:
        clients: Mapping[Side, Clients] = {
            "direct": DirectClients(QueryServiceStub(channel)),
            "edge": EdgeClients(edge),
        }
        while line := await asyncio.to_thread(sys.stdin.readline):
            job = Job(**json.loads(line))
            print(json.dumps(asdict(await _done(job, clients[job.side]))), flush=True)


async def _done(job: Job, clients: "Clients") -> Outcome:
    outcome = Outcome()
    ask: Mapping[str, Callable[[str], Awaitable[None]]] = {
        "search": lambda question: clients.search(job.collection, question),
        "stream": lambda question: clients.stream(job.collection, question, outcome),
    }
    cpu_s = time.process_time()
    sample = await closed_loop(ask[job.kind], _questions(job.requests), job.clients)
    outcome.cpu_s = time.process_time() - cpu_s
    outcome.seconds, outcome.latencies_s = sample.seconds, list(sample.latencies_s)
    return outcome


def _questions(count: int) -> list[str]:
    """Questions that were never asked: none is answered from a cache."""
    questions = synthetic().questions
    return [f"{uuid4().hex[:8]} {questions[number % len(questions)].text}" for number in range(count)]


@dataclass(frozen=True, slots=True)
class DirectClients:
    """Call the query service over gRPC."""

    query: QueryServiceStub

    async def search(self, collection: str, question: str) -> None:
        request = SearchRequest(collection=collection, query=question, top_k=TOP_K)
        if not (await self.query.search(request, timeout=TIMEOUT_S)).results:
            raise RuntimeError(f"nothing found for {question!r}")

    async def stream(self, collection: str, question: str, outcome: Outcome) -> None:
        began, first_s = time.perf_counter(), 0.0
        request = AnswerRequest(collection=collection, question=question, max_tokens=MAX_TOKENS)
        async for event in self.query.answer(request, timeout=TIMEOUT_S):
            if event.token:
                first_s = first_s or time.perf_counter() - began
            elif event.usage:
                outcome.tokens += event.usage.completion_tokens
            elif event.error:
                raise RuntimeError(event.error)
        outcome.first_s.append(first_s)


@dataclass(frozen=True, slots=True)
class EdgeClients:
    """Call the edge over HTTP."""

    edge: Edge

    async def search(self, collection: str, question: str) -> None:
        if not await self.edge.search(collection, question, top_k=TOP_K):
            raise RuntimeError(f"nothing found for {question!r}")

    async def stream(self, collection: str, question: str, outcome: Outcome) -> None:
        answered = await self.edge.answer(collection, question, max_tokens=MAX_TOKENS)
        outcome.first_s.append(answered.first_token_s)
        outcome.tokens += answered.tokens


Clients = DirectClients | EdgeClients

if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
