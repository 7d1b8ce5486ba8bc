"""`python -m bench`, also `ragmesh bench`."""

import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Annotated
from uuid import uuid4

import typer
import uvloop

from bench import answer, corpus, crosslingual, ingest, quality, report, search
from bench.corpus import Corpus
from bench.edge import Edge
from bench.engines import Engines, engines
from bench.fleet import Make, started
from bench.load import middle
from bench.report import Row
from ragmesh import settings as configuration
from ragmesh.inference import build
from ragmesh.settings import Settings
from ragmesh.up import state

CLIENTS = (1, 8, 32)
ROUNDS = 3
ANSWERS = 9
SUITES = ("ingest", "search", "answer")


def main(
    data_dir: Annotated[Path | None, typer.Option(help="data folder of the running mesh")] = None,
    xquad: Annotated[Path | None, typer.Option(help="folder of XQuAD: measures retrieval quality too")] = None,
    suite: Annotated[
        list[str] | None, typer.Option(help="ingest, search, answer, quality, crosslingual; may be repeated")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="file to write the results to")] = None,
    rounds: Annotated[int, typer.Option(help="counted rounds of each comparison")] = ROUNDS,
    own_mesh: Annotated[bool, typer.Option(help="start a mesh for the bench, in a temporary folder")] = False,
) -> None:
    """Measures the mesh beside the bare engines, in turns in one run: what it costs is a ratio.

    Without --xquad the passages are made from a seed. The machine should do nothing else meanwhile.
    """
    suites = suite or [*SUITES, *(["quality"] if xquad else [])]
    rows = uvloop.run(_measure(data_dir, own_mesh, xquad, suites, rounds))
    report.show(rows)
    if json:
        report.save(rows, json)


async def _measure(
    data_dir: Path | None, own_mesh: bool, xquad: Path | None, suites: Sequence[str], rounds: int
) -> list[Row]:
    async with _mesh(data_dir, own_mesh) as settings, Edge.of(settings) as edge:
        rows: list[Row] = []
        if {"ingest", "search", "answer"} & set(suites):
            async with engines(settings) as bare:
                rows += await _beside_engines(edge, bare, settings, xquad, suites, rounds)
        if xquad and "quality" in suites:
            rows += await _quality(edge, xquad)
        if xquad and "crosslingual" in suites:
            rows += await _crosslingual(edge, xquad)
        return rows


@asynccontextmanager
async def _mesh(data_dir: Path | None, own_mesh: bool) -> AsyncIterator[Settings]:
    """The settings of the mesh to measure: one of our own, or the one that runs."""
    settings = configuration.load()
    if data_dir:
        settings = settings.model_copy(update={"data_dir": data_dir})
    if not own_mesh:
        if state.read(settings.home) is None:
            sys.exit(f"no mesh runs on {settings.home}: start it with `ragmesh up`, or use --own-mesh")
        yield state.of_running_mesh(settings)
        return
    models = build.build(settings, lambda step, share: print(f"models {share:4.0%}: {step}"))
    with tempfile.TemporaryDirectory() as folder:
        async with started(Make("bench", settings.profile), models, Path(folder)) as planned:
            yield planned.settings


async def _beside_engines(
    edge: Edge, bare: Engines, settings: Settings, xquad: Path | None, suites: Sequence[str], rounds: int
) -> list[Row]:
    loaded = corpus.xquad(xquad, "en") if xquad else corpus.synthetic()
    rows: list[Row] = []
    if "ingest" in suites:
        rows += await _ingest(edge, bare, settings, loaded, rounds)
    collection = f"bench-{uuid4().hex[:12]}"
    await quality.load(edge, collection, loaded)
    try:
        if "search" in suites:
            rows += await _search(edge, bare, collection, loaded, rounds)
        if "answer" in suites:
            rows += await _answer(edge, bare, collection, loaded)
    finally:
        await edge.remove(collection)
    return rows


async def _ingest(edge: Edge, bare: Engines, settings: Settings, loaded: Corpus, rounds: int) -> list[Row]:
    rates = await ingest.beside_embedder(edge, bare, loaded.passages, batch=settings.embed_batch, rounds=rounds)
    mesh, engine = median(rates.mesh), median(rates.engine)
    return [Row("ingest, upload to READY", mesh, engine, "chunks/s", rates.ratio, "of the embedder")]


async def _search(edge: Edge, bare: Engines, collection: str, loaded: Corpus, rounds: int) -> list[Row]:
    rows: list[Row] = []
    for clients in CLIENTS:
        compared = await search.beside_embedder(
            edge, bare, collection, loaded.questions, clients=clients, rounds=rounds
        )
        mesh, engine = middle(compared.mesh), middle(compared.engine)
        name = f"search, {clients} clients (p50 {mesh.p50_ms:.1f} ms, p95 {mesh.p95_ms:.1f} ms)"
        rows.append(Row(name, mesh.rate, engine.rate, "searches/s", compared.rate_ratio, "of the embedder"))
    one = await search.beside_embedder_and_milvus(edge, bare, collection, loaded.questions, rounds=rounds)
    mesh, engine = middle(one.mesh), middle(one.engine)
    rows.append(
        Row("search, 1 client, p50", mesh.p50_ms, engine.p50_ms, "ms", one.p50_added_ms, "ms added to both engines")
    )
    return rows


async def _answer(edge: Edge, bare: Engines, collection: str, loaded: Corpus) -> list[Row]:
    apart = len(loaded.questions) // ANSWERS  # questions about other passages: no prompt begins as the last did
    times = await answer.beside_model(edge, bare, collection, loaded.questions[: ANSWERS * apart : apart])
    mesh, engine = (
        (
            median([each.first_token_s * 1e3 for each in side]),
            median([each.tokens_per_s for each in side]),
            median([each.prompt_tokens for each in side]),
        )
        for side in (times.mesh, times.engine)
    )
    return [
        Row(
            f"answer, first token ({mesh[2]:.0f} and {engine[2]:.0f} prompt tokens)",
            mesh[0],
            engine[0],
            "ms",
            times.first_token_ratio,
            "of the model",
        ),
        Row("answer, writing", mesh[1], engine[1], "tokens/s", mesh[1] / engine[1], "of the model"),
    ]


async def _quality(edge: Edge, folder: Path) -> list[Row]:
    languages = {language: corpus.xquad(folder, language) for language in ("en", "zh")}
    rows: list[Row] = []
    for language, loaded in languages.items():
        collection = f"quality-{language}-{uuid4().hex[:8]}"
        await quality.load(edge, collection, loaded)
        for asked, questions in languages.items():
            for mode in quality.MODES:
                found = await quality.quality_through(edge, collection, questions.questions, mode)
                rows.append(report.quality_row(f"{asked} questions on {language} passages, {mode}", found))
        await edge.remove(collection)
    return rows


async def _crosslingual(edge: Edge, folder: Path) -> list[Row]:
    corpora = {language: corpus.xquad(folder, language) for language in ("en", "zh")}
    collection = f"crosslingual-{uuid4().hex[:8]}"
    await crosslingual.load(edge, collection, corpora)
    rows = await crosslingual.compared(edge, collection, corpora)
    rows += await crosslingual.speed(edge, collection, corpora)
    await edge.remove(collection)
    return rows


if __name__ == "__main__":
    typer.run(main)
