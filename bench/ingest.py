"""Ingest: upload to READY through the mesh, beside the embedder alone on the same chunks."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from uuid import uuid4

from bench.corpus import Passage
from bench.edge import Edge
from bench.engines import Engines
from ragmesh.inference.port import Role
from ragmesh.storage.vectors.port import Scope

UPLOADS = 16  # at once
EMBED_CALLS = 4  # at once, of the bare embedder: enough to keep it busy


@dataclass(frozen=True, slots=True)
class IngestRates:
    """Chunks per second, a pair for each round."""

    mesh: Sequence[float]
    engine: Sequence[float]

    @property
    def ratio(self) -> float:
        """The mesh's rate as a share of the engine's: median over the pairs."""
        return median(m / e for m, e in zip(self.mesh, self.engine, strict=True))


async def beside_embedder(
    edge: Edge, engines: Engines, passages: Sequence[Passage], *, batch: int, rounds: int
) -> IngestRates:
    """Loads the passages into a new collection each round, then embeds the chunks that they became.

    A round of each comes before those that count. Collections are removed at the end: the mesh tidies up after a
    removal, and would do so during the next round.
    """
    collections = [f"bench-{uuid4().hex[:12]}" for _ in range(rounds + 1)]
    try:
        pairs = [await _round(edge, engines, collection, passages, batch) for collection in collections]
    finally:
        for collection in collections:
            await edge.remove(collection)
    return IngestRates([mesh for mesh, _ in pairs[1:]], [engine for _, engine in pairs[1:]])


async def _round(
    edge: Edge, engines: Engines, collection: str, passages: Sequence[Passage], batch: int
) -> tuple[float, float]:
    began = time.perf_counter()
    count = await edge.add_all(collection, passages, UPLOADS)
    mesh_s = time.perf_counter() - began
    scope = Scope((await edge.json("GET", f"/v1/collections/{collection}"))["id"])
    texts = [chunk.text for chunk in await engines.vectors.sample(scope, count)]
    began = time.perf_counter()
    await _embed_all(engines, texts, batch)
    return count / mesh_s, len(texts) / (time.perf_counter() - began)


async def _embed_all(engines: Engines, texts: Sequence[str], batch: int) -> None:
    slots = asyncio.Semaphore(EMBED_CALLS)

    async def embed(start: int) -> None:
        async with slots:
            await engines.embedder.embed(texts[start : start + batch], Role.PASSAGE)

    await asyncio.gather(*(embed(start) for start in range(0, len(texts), batch)))
