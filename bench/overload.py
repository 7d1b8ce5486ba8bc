"""`python -m bench.overload`: what becomes of searches, and of health checks, while documents are ingested.

Many clients search a mesh, alone and while documents are ingested; documents are ingested alone too. Rounds of the
three take turns. Throughout, every process is asked for its health.
"""

import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from statistics import median, quantiles
from typing import Annotated, Any
from uuid import uuid4

import aiohttp
import typer
import uvloop
from rich.console import Console
from rich.table import Table

from bench.corpus import Corpus, Passage, synthetic
from bench.edge import Edge
from bench.fleet import Make, started
from bench.load import Sample
from bench.probe import probing
from ragmesh import settings as configuration
from ragmesh.inference import build
from ragmesh.up.plan import Plan

CLIENTS = 64
DOCUMENTS = 200
ALONE_S = 10.0  # how long is searched alone
ROUNDS = 3
BUSY = 429


@dataclass(slots=True)
class Measured:
    """The rounds, in order."""

    alone: list[Sample] = field(default_factory=list[Sample])  # searches
    beside: list[Sample] = field(default_factory=list[Sample])  # searches while documents come
    refused: int = 0  # searches, beside or alone
    ingest_alone: list[float] = field(default_factory=list[float])  # chunks per second
    ingest_beside: list[float] = field(default_factory=list[float])
    health_s: Mapping[str, Sequence[float]] = field(default_factory=dict[str, Sequence[float]])

    def health_ms(self, hundredth: int) -> Mapping[str, float]:
        """A percentile of how long each process took to tell its health."""
        return {name: quantiles(took, n=100)[hundredth - 1] * 1e3 for name, took in self.health_s.items()}

    def figures(self) -> dict[str, Any]:
        """What it comes to: medians over the rounds."""
        pairs = list(zip(self.alone, self.beside, strict=True))
        return {
            "search_rate_ratio": median(beside.rate / alone.rate for alone, beside in pairs),
            "search_p95_ratio": median(beside.p95_ms / alone.p95_ms for alone, beside in pairs),
            "search_p95_ms": median(beside.p95_ms for beside in self.beside),
            "refused": self.refused,
            "ingest_ratio": median(b / a for a, b in zip(self.ingest_alone, self.ingest_beside, strict=True)),
            "health_p99_ms": self.health_ms(99),
        }


class Bench:
    """A mesh under load."""

    def __init__(self, edge: Edge, corpus: Corpus, collection: str) -> None:
        self._edge = edge
        self._corpus = corpus
        self._collection = collection
        self.measured = Measured()

    async def round(self) -> None:
        """Searches alone, documents alone, and both at once."""
        alone, _ = await self._searching(asyncio.sleep(ALONE_S))
        self.measured.alone.append(alone)
        self.measured.ingest_alone.append(await self._ingest())
        beside, rate = await self._searching(self._ingest())
        self.measured.beside.append(beside)
        self.measured.ingest_beside.append(rate)

    async def _searching(self, other: Awaitable[Any]) -> tuple[Sample, Any]:
        """Searches from all clients until something else is done."""
        latencies: list[float] = []
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            clients = [group.create_task(self._client(number, latencies)) for number in range(CLIENTS)]
            result = await other
            for client in clients:
                client.cancel()
        return Sample(CLIENTS, time.perf_counter() - began, latencies), result

    async def _client(self, number: int, latencies: list[float]) -> None:
        questions = self._corpus.questions
        while True:
            question = f"{questions[number % len(questions)].text} {uuid4().hex[:8]}"  # never from a cache
            number += CLIENTS
            began = time.perf_counter()
            try:
                await self._edge.search(self._collection, question, top_k=8)
            except aiohttp.ClientResponseError as error:
                if error.status != BUSY:
                    raise
                self.measured.refused += 1
                await asyncio.sleep(float((error.headers or {}).get("Retry-After", 1)))
            else:
                latencies.append(time.perf_counter() - began)

    async def _ingest(self) -> float:
        """Chunks per second of some documents, from the first upload to all READY."""
        began, into = time.perf_counter(), f"bench-{uuid4().hex[:12]}"
        chunks = await self._edge.add_all(into, _documents(self._corpus))
        rate = chunks / (time.perf_counter() - began)
        await self._edge.remove(into)
        return rate


def _documents(corpus: Corpus) -> list[Passage]:
    some = islice(cycle(corpus.passages), DOCUMENTS)
    return [Passage(f"{number}-{each.id}", f"{uuid4()} {each.text}") for number, each in enumerate(some)]


def main(
    rounds: Annotated[int, typer.Option(help="rounds of all three")] = ROUNDS,
    json_: Annotated[Path | None, typer.Option("--json", help="file to write the figures to")] = None,
) -> None:
    """Ingests and searches at once, and asks for everybody's health meanwhile."""
    models = build.build(configuration.load(), lambda step, share: print(f"models {share:4.0%}: {step}"))
    with tempfile.TemporaryDirectory() as folder:
        measured = uvloop.run(_measure(Path(folder), models, rounds))
    _show(measured)
    if json_:
        json_.write_text(json.dumps(measured.figures(), indent=2) + "\n", encoding="utf-8")


async def _measure(folder: Path, models: Path, rounds: int) -> Measured:
    async with started(Make("overload"), models, folder) as planned, Edge.of(planned.settings) as edge:
        corpus, collection = synthetic(), "bench"
        await edge.add_all(collection, corpus.passages)
        bench = Bench(edge, corpus, collection)
        async with probing(_targets(planned)) as health_s:
            for number in range(rounds):
                await bench.round()
                print(f"round {number + 1} of {rounds}")
        bench.measured.health_s = health_s
        return bench.measured


def _targets(planned: Plan) -> dict[str, str]:
    """Every process of ours, and the page of the edge."""
    servers = {program.name: program.address for program in planned.programs if not program.is_backing}
    return {**servers, "edge": f"{planned.url}/healthz"}


def _show(measured: Measured) -> None:
    console, figures = Console(), measured.figures()
    table = Table(f"{CLIENTS} clients, {DOCUMENTS} documents", "alone", "together", "ratio")
    rows = {
        "searches/s": ([s.rate for s in measured.alone], [s.rate for s in measured.beside]),
        "search p50, ms": ([s.p50_ms for s in measured.alone], [s.p50_ms for s in measured.beside]),
        "search p95, ms": ([s.p95_ms for s in measured.alone], [s.p95_ms for s in measured.beside]),
        "ingest, chunks/s": (measured.ingest_alone, measured.ingest_beside),
    }
    for name, (alone, beside) in rows.items():
        ratio = median(b / a for a, b in zip(alone, beside, strict=True))
        table.add_row(name, f"{median(alone):,.1f}", f"{median(beside):,.1f}", f"{ratio:.2f}")
    console.print(table)
    console.print(f"{figures['refused']} searches refused")
    health = Table("health of", "p50, ms", "p99, ms")
    for name, p50 in measured.health_ms(50).items():
        health.add_row(name, f"{p50:.1f}", f"{measured.health_ms(99)[name]:.1f}")
    console.print(health)


if __name__ == "__main__":
    typer.run(main)
