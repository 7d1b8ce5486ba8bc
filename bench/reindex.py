"""`python -m bench.reindex`: all chunks are embedded anew with another model while users search.

Measured are searches at rest and meanwhile, how many of them fail, and whether questions find their passage among
the first five. The worker is killed when half of the chunks are done; another process takes up where it was.
"""

import asyncio
import json
import os
import signal
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Annotated

import psutil
import typer
import uvloop

from bench.corpus import Corpus, Passage, Question, synthetic
from bench.edge import Edge
from bench.fleet import Make, started
from bench.site import PATIENCE
from ragmesh import settings as configuration
from ragmesh.client import Client
from ragmesh.errors import MeshError
from ragmesh.inference import build
from ragmesh.inference.port import ModelId
from ragmesh.up import state
from ragmesh.v1 import ReindexState

COLLECTION, NEXT = "bench", "minilm-l6@1"
CHUNKS = 20_000
CHUNKS_A_PASSAGE = 5
PASSAGES_A_DOCUMENT = 20
CHUNK_TOKENS = "40"
CLIENTS = 4
THINK_S = 0.05  # between two searches of a client
AT_REST_S = 30.0
FOUND_AMONG = 5


@dataclass(slots=True)
class Phase:
    """Searches of one part of the run."""

    name: str
    took_s: list[float] = field(default_factory=list[float])
    failed: dict[str, int] = field(default_factory=dict[str, int])
    found: int = 0
    by_model: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def p95_ms(self) -> float:
        return quantiles(self.took_s, n=20, method="inclusive")[-1] * 1e3

    @property
    def p50_ms(self) -> float:
        return quantiles(self.took_s, n=2, method="inclusive")[0] * 1e3

    @property
    def recall(self) -> float:
        return self.found / len(self.took_s)

    def figures(self) -> dict[str, object]:
        """For programs."""
        told = {"name": self.name, "searches": len(self.took_s), "failed": self.failed, "by_model": self.by_model}
        return {**told, "p50_ms": self.p50_ms, "p95_ms": self.p95_ms, "recall_at_5": self.recall}


class Users:
    """Clients that search, with a short pause between two."""

    def __init__(self, client: Client, questions: Sequence[Question]) -> None:
        self._client = client
        self._questions = questions
        self._number = 0

    @asynccontextmanager
    async def searching(self, phase: Phase) -> AsyncGenerator[None, None]:
        """Their searches inside the block."""
        users = [asyncio.create_task(self._search(phase)) for _ in range(CLIENTS)]
        try:
            yield
        finally:
            for user in users:
                user.cancel()
            await asyncio.wait(users)

    async def _search(self, phase: Phase) -> None:
        while True:
            self._number += 1
            question = self._questions[self._number % len(self._questions)]
            code = question.text.rpartition(" ")[2].rstrip("?")
            began = time.perf_counter()
            try:
                found = await self._client.search(question.text, collection=COLLECTION, top_k=FOUND_AMONG)
            except MeshError as error:
                phase.failed[error.code] = phase.failed.get(error.code, 0) + 1
            else:
                phase.took_s.append(time.perf_counter() - began)
                phase.by_model[found.model] = phase.by_model.get(found.model, 0) + 1
                phase.found += any(code in result.chunk.text for result in found.results if result.chunk)
            await asyncio.sleep(THINK_S)


def _documents(corpus: Corpus) -> tuple[Passage, ...]:
    """Passages put together to documents: an upload for each would be what is measured."""
    passages = corpus.passages
    return tuple(
        Passage(
            f"handbook-{start}",
            "\n\n".join(passage.text for passage in passages[start : start + PASSAGES_A_DOCUMENT]),
        )
        for start in range(0, len(passages), PASSAGES_A_DOCUMENT)
    )


async def _measure(folder: Path, chunks: int) -> list[Phase]:
    os.environ["RAGMESH_CHUNK_TOKENS"], os.environ["RAGMESH_CHUNK_OVERLAP_TOKENS"] = CHUNK_TOKENS, "0"
    settings = configuration.load()
    models = build.build(settings, lambda step, share: print(f"models {share:4.0%}: {step}"))
    build.build(settings, lambda _step, _share: None, [ModelId.parse(NEXT)])
    async with AsyncExitStack() as opened:
        planned = await opened.enter_async_context(started(Make("reindex"), models, folder / "mesh"))
        edge = await opened.enter_async_context(Edge.at(planned.url))
        client = await opened.enter_async_context(Client(planned.settings))
        for key, value in PATIENCE.items():
            await client.set_config(key, value)
        corpus = synthetic(passages=chunks // CHUNKS_A_PASSAGE, questions=2000)
        began = time.perf_counter()
        await edge.add_all(COLLECTION, _documents(corpus))
        print(f"loaded in {time.perf_counter() - began:.0f} s", flush=True)
        users = Users(client, corpus.questions)
        phases = [Phase("at rest, before"), Phase("while all is embedded anew"), Phase("at rest, after")]
        async with users.searching(phases[0]):
            await asyncio.sleep(AT_REST_S)
        async with users.searching(phases[1]):
            await _reindexed(client, planned.settings.home)
        async with users.searching(phases[2]):
            await asyncio.sleep(AT_REST_S)
        return phases


async def _reindexed(client: Client, home: Path) -> None:
    began, killed = time.perf_counter(), False
    await client.start_reindex(NEXT)
    while (found := await client.reindex(NEXT)).state is not ReindexState.ACTIVE:
        if found.state is ReindexState.FAILED:
            raise RuntimeError(found.reason)
        if not killed and 2 * found.chunks_done > found.chunks_total > 0:
            killed = True
            present = state.read(home)
            psutil.Process(present["processes"]["worker"]["pid"] if present else 0).send_signal(signal.SIGKILL)
            print(f"killed the worker at {found.chunks_done} of {found.chunks_total} chunks", flush=True)
        await asyncio.sleep(0.5)
    print(f"{found.chunks_total} chunks were embedded anew in {time.perf_counter() - began:.0f} s", flush=True)


def main(
    chunks: Annotated[int, typer.Option(help="about how many chunks there are")] = CHUNKS,
    json_: Annotated[Path | None, typer.Option("--json", help="file to write the figures to")] = None,
) -> None:
    """Lets searches of a mesh of its own go over to another embedding model."""
    with tempfile.TemporaryDirectory() as folder:
        phases = uvloop.run(_measure(Path(folder), chunks))
    for phase in phases:
        print(phase.figures())
    rest, during, _ = phases
    print(f"p95 while embedding, of that at rest: {during.p95_ms / rest.p95_ms:.2f}")
    if json_:
        json_.write_text(json.dumps([phase.figures() for phase in phases], indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
