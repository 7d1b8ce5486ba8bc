"""`python -m bench.lanes`: searches while a large ingest runs, with the lanes before Triton and without them.

Two whole meshes take turns: one as it is, one whose worker (`bench.no_lanes`) sends its passages all at once and
yields to nobody. In each turn a few clients search alone, and then while documents are ingested.
"""

import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from itertools import count, cycle, islice
from pathlib import Path
from statistics import median
from typing import Annotated, Any
from uuid import uuid4

import typer
import uvloop
from rich.console import Console
from rich.table import Table

from bench.corpus import Corpus, Passage, synthetic
from bench.fleet import Make, Ship, fleet
from bench.load import Sample
from bench.site import PATIENCE
from ragmesh import settings as configuration
from ragmesh.inference import build

MAKES = (Make("with lanes"), Make("without", worker_module="bench.no_lanes"))
CLIENTS = 4
DOCUMENTS = 300
ALONE_S = 8.0
ROUNDS = 3
COLLECTION = "bench"


@dataclass(slots=True)
class Measured:
    """The rounds of one mesh."""

    alone: list[Sample] = field(default_factory=list[Sample])
    beside: list[Sample] = field(default_factory=list[Sample])
    chunks_per_s: list[float] = field(default_factory=list[float])

    def figures(self) -> Mapping[str, float]:
        """Medians over the rounds."""
        return {
            "p50_alone_ms": median(sample.p50_ms for sample in self.alone),
            "p95_alone_ms": median(sample.p95_ms for sample in self.alone),
            "p50_beside_ms": median(sample.p50_ms for sample in self.beside),
            "p95_beside_ms": median(sample.p95_ms for sample in self.beside),
            "p95_ratio": median(b.p95_ms / a.p95_ms for a, b in zip(self.alone, self.beside, strict=True)),
            "chunks_per_s": median(self.chunks_per_s),
        }


async def _round(ship: Ship, corpus: Corpus, result: Measured) -> None:
    alone, _ = await _searching(ship, corpus, asyncio.sleep(ALONE_S))
    beside, rate = await _searching(ship, corpus, _ingest(ship, corpus))
    result.alone.append(alone)
    result.beside.append(beside)
    result.chunks_per_s.append(rate)


async def _searching(ship: Ship, corpus: Corpus, other: Awaitable[Any]) -> tuple[Sample, Any]:
    """Searches from all clients until something else is done."""
    latencies, began, numbers = list[float](), time.perf_counter(), count()

    async def search() -> None:
        while True:
            question = corpus.questions[next(numbers) % len(corpus.questions)].text
            asked = time.perf_counter()
            await ship.edge.search(COLLECTION, f"{question} {uuid4().hex[:8]}", top_k=8)  # never from a cache
            latencies.append(time.perf_counter() - asked)

    async with asyncio.TaskGroup() as group:
        clients = [group.create_task(search()) for _ in range(CLIENTS)]
        result = await other
        for client in clients:
            client.cancel()
    return Sample(CLIENTS, time.perf_counter() - began, latencies), result


async def _ingest(ship: Ship, corpus: Corpus) -> float:
    """Chunks per second of documents that nobody has seen before."""
    began, into = time.perf_counter(), f"bench-{uuid4().hex[:12]}"
    passages = enumerate(islice(cycle(corpus.passages), DOCUMENTS))
    chunks = await ship.edge.add_all(
        into, [Passage(f"{n}-{each.id}", f"{uuid4()} {each.text}") for n, each in passages]
    )
    rate = chunks / (time.perf_counter() - began)
    await ship.edge.remove(into)
    return rate


async def _measure(folder: Path, rounds: int) -> list[Measured]:
    models = build.build(configuration.load(), lambda step, share: print(f"models {share:4.0%}: {step}"))
    async with fleet(MAKES, models, folder) as ships:
        corpus = synthetic()
        for ship in ships:
            for key, value in PATIENCE.items():
                await ship.client.set_config(key, value)
            await ship.edge.add_all(COLLECTION, corpus.passages)
        measured = [Measured() for _ in ships]
        for number in range(rounds + 1):
            for ship, result in zip(ships, measured, strict=True):
                await _round(ship, corpus, result if number else Measured())
                print(f"round {number} of {rounds}, {ship.make.name}", flush=True)
        return measured


def main(
    rounds: Annotated[int, typer.Option(help="counted rounds")] = ROUNDS,
    json_: Annotated[Path | None, typer.Option("--json", help="file to write the figures to")] = None,
) -> None:
    """Searches while documents are ingested, with lanes and without."""
    with tempfile.TemporaryDirectory() as folder:
        measured = uvloop.run(_measure(Path(folder), rounds))
    figures = {make.name: result.figures() for make, result in zip(MAKES, measured, strict=True)}
    table = Table("", *(make.name for make in MAKES))
    for name in measured[0].figures():
        table.add_row(name, *(f"{each[name]:,.2f}" for each in figures.values()))
    Console().print(table)
    ratio = figures[MAKES[0].name]["p95_beside_ms"] / figures[MAKES[1].name]["p95_beside_ms"]
    print(f"p95 beside an ingest, with lanes of that without: {ratio:.2f}")
    if json_:
        json_.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
