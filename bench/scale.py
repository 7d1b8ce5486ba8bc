"""`python -m bench.scale`: what a second instance brings, and what the real servers of the mesh profile cost.

Meshes of different makes run at once and take turns; each figure is a ratio over the rounds of one run.
"""

import asyncio
import random
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Annotated
from uuid import uuid4

import typer
import uvloop
from rich.console import Console
from rich.table import Table

from bench import free_model
from bench.corpus import Corpus, Passage, synthetic
from bench.fleet import Make, Ship, fleet
from bench.load import Sample, closed_loop
from ragmesh import settings as configuration
from ragmesh.inference import build

CLIENTS = 32
SEARCHES = 1500  # of one round
DOCUMENTS = 240  # of one round
ROUNDS = 3
ONE, TWO = Make("one"), Make("two", query=2, worker=2)
EMBEDDED, MESH = Make("embedded"), Make("mesh", profile="mesh")


@dataclass(slots=True)
class Measured:
    """The rounds of one mesh."""

    busy: list[Sample] = field(default_factory=list[Sample])  # searches of many clients
    alone: list[Sample] = field(default_factory=list[Sample])  # of one
    chunks_per_s: list[float] = field(default_factory=list[float])
    search_cpu_ms: list[Mapping[str, float]] = field(default_factory=list[Mapping[str, float]])  # of a search
    ingest_cpu_ms: list[Mapping[str, float]] = field(default_factory=list[Mapping[str, float]])  # of a chunk


def main(
    suite: Annotated[str, typer.Argument(help="instances (1 beside 2), or profiles (embedded beside mesh)")],
    rounds: Annotated[int, typer.Option(help="counted rounds")] = ROUNDS,
) -> None:
    """Compares whole meshes around an embedder that costs next to nothing."""
    makes = {"instances": (ONE, TWO), "profiles": (EMBEDDED, MESH)}[suite]
    measured = uvloop.run(_measure(makes, rounds))
    _show(makes, measured)


async def _measure(makes: Sequence[Make], rounds: int) -> list[Measured]:
    settings = configuration.load()
    build.build(settings, lambda step, share: print(f"models {share:4.0%}: {step}"))
    with tempfile.TemporaryDirectory() as folder:
        models = free_model.repository(settings, Path(folder) / "models")
        async with fleet(makes, models, Path(folder)) as ships:
            corpus, collection = synthetic(), f"bench-{uuid4().hex[:12]}"
            for ship in ships:
                await ship.edge.add_all(collection, corpus.passages)
            measured = [Measured() for _ in ships]
            for number in range(rounds + 1):
                for ship, result in zip(ships, measured, strict=True):
                    await _round(ship, corpus, collection, result if number else Measured())
                    print(f"round {number} of {ship.make.name}")
            return measured


async def _round(ship: Ship, corpus: Corpus, collection: str, result: Measured) -> None:
    async def search(query: str) -> None:
        if not (await ship.client.search(query, collection=collection, top_k=8)).results:
            raise RuntimeError(f"nothing found for {query!r}")

    before = ship.cpu_s()
    result.busy.append(await closed_loop(search, _queries(corpus, SEARCHES), CLIENTS))
    result.search_cpu_ms.append(_spent(before, ship.cpu_s(), SEARCHES))
    result.alone.append(await closed_loop(search, _queries(corpus, SEARCHES // 10), 1))

    before, began, into = ship.cpu_s(), time.perf_counter(), f"bench-{uuid4().hex[:12]}"
    chunks = await ship.edge.add_all(into, _documents(corpus))
    result.chunks_per_s.append(chunks / (time.perf_counter() - began))
    result.ingest_cpu_ms.append(_spent(before, ship.cpu_s(), chunks))
    await ship.edge.remove(into)
    await asyncio.sleep(1)  # for the sweep to tidy up, in nobody's round


def _queries(corpus: Corpus, count: int) -> list[str]:
    """Questions that were never asked: none is answered from a cache."""
    asked = random.choices(corpus.questions, k=count)  # noqa: S311 no secret
    return [f"{question.text} {uuid4().hex[:8]}" for question in asked]


def _documents(corpus: Corpus) -> list[Passage]:
    some = random.choices(corpus.passages, k=DOCUMENTS)  # noqa: S311 no secret
    return [Passage(f"{number}-{passage.id}", f"{uuid4()} {passage.text}") for number, passage in enumerate(some)]


def _spent(before: Mapping[str, float], after: Mapping[str, float], count: int) -> Mapping[str, float]:
    return {name: (after[name] - before.get(name, 0.0)) / count * 1e3 for name in after}


def _show(makes: Sequence[Make], measured: Sequence[Measured]) -> None:
    console = Console()
    first, second = measured
    table = Table("measurement", *(make.name for make in makes), "ratio", title="side by side")
    for name, figure in FIGURES.items():
        pairs = list(zip(figure(first), figure(second), strict=True))
        ratio = median(b / a for a, b in pairs)
        table.add_row(name, *(f"{median(side):,.1f}" for side in zip(*pairs, strict=True)), f"{ratio:.2f}")
    console.print(table)
    for make, result in zip(makes, measured, strict=True):
        console.print(_where_time_goes(make, result))


FIGURES: Mapping[str, Callable[[Measured], list[float]]] = {
    f"searches/s, {CLIENTS} clients": lambda it: [sample.rate for sample in it.busy],
    f"search p50 in ms, {CLIENTS} clients": lambda it: [sample.p50_ms for sample in it.busy],
    "search p50 in ms, 1 client": lambda it: [sample.p50_ms for sample in it.alone],
    "ingest, chunks/s": lambda it: it.chunks_per_s,
}


def _where_time_goes(make: Make, result: Measured) -> Table:
    table = Table("process", "ms of CPU a search", "ms of CPU a chunk", title=f"where the time goes: {make.name}")
    for name in result.search_cpu_ms[0]:
        search, chunk = (
            median(spent[name] for spent in side) for side in (result.search_cpu_ms, result.ingest_cpu_ms)
        )
        table.add_row(name, f"{search:.2f}", f"{chunk:.2f}")
    return table


if __name__ == "__main__":
    typer.run(main)
