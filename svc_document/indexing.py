"""From chunks to what a search finds: embedded and written in batches that documents share.

A worker is given many small documents as often as one large; filling a batch with chunks of several documents keeps
the embedder as busy with the first as with the second. While one batch is written, the next is embedded.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from prometheus_client import Counter

from ragmesh.chunk import Chunk
from ragmesh.errors import InvalidArgument
from ragmesh.inference.port import Embedder, Role
from ragmesh.storage.vectors.port import Vectors
from ragmesh.storage.vectors.spaces import Space
from svc_document.leasing import Held
from svc_document.model import Stage
from svc_document.stages import stage

CHUNKS = Counter("ragmesh_chunks_indexed_total", "Chunks embedded and written")

BATCHES_AT_ONCE = 3  # one in the embedder, one on its way, one being written
BATCHES_WAITING = 4


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """A document's wish to have its chunks indexed."""

    held: Held
    size: int
    done: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    missing: set[int] = field(default_factory=set[int])  # ordinals not yet written

    def note(self, ordinal: int) -> None:
        """A chunk was written."""
        self.missing.discard(ordinal)
        self.held.progress = 1 - len(self.missing) / self.size
        if not self.missing and not self.done.done():
            self.done.set_result(None)

    def fail(self, error: Exception) -> None:
        """A chunk can't be written."""
        if not self.done.done():
            self.done.set_exception(error)


@dataclass(frozen=True, slots=True)
class Item:
    """A chunk on its way."""

    order: Order
    chunk: Chunk


class Indexer:
    """Embeds and writes chunks. An async context manager: it owns tasks."""

    def __init__(self, spaces: Callable[[], Sequence[Space]], *, batch: int) -> None:
        """`spaces`: those that are kept at this moment."""
        self._spaces = spaces
        self._batch = batch
        self._waiting: asyncio.Queue[Item] = asyncio.Queue(batch * BATCHES_WAITING)
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._runners = [self._tasks.create_task(self._run()) for _ in range(BATCHES_AT_ONCE)]
        return self

    async def __aexit__(self, *exc: object) -> None:
        for runner in self._runners:
            runner.cancel()
        await self._tasks.__aexit__(None, None, None)

    async def index(self, held: Held, chunks: Sequence[Chunk]) -> None:
        """Returns once all chunks can be found. Raises IngestError. Once it is cancelled, no more is written."""
        order = Order(held, len(chunks), missing={chunk.ordinal for chunk in chunks})
        try:
            for chunk in chunks:
                await self._waiting.put(Item(order, chunk))
                if order.done.done():
                    break
            await order.done
        finally:
            order.done.cancel()

    async def _run(self) -> None:
        while True:
            items = await self._take()
            try:
                await self._index(items)
            except Exception as error:  # noqa: BLE001 each document's worker judges it
                for item in items:
                    item.order.fail(error)

    async def _take(self) -> list[Item]:
        items = [await self._waiting.get()]
        while len(items) < self._batch and not self._waiting.empty():
            items.append(self._waiting.get_nowait())
        return _wanted(items)

    async def _index(self, items: list[Item]) -> None:
        """Into every space; one that is kept from meanwhile on too."""
        written: list[Space] = []
        while items and (space := next((each for each in self._spaces() if each not in written), None)):
            items = await self._write(items, space)
            written.append(space)
        CHUNKS.inc(len(items))
        for item in items:
            item.order.note(item.chunk.ordinal)

    async def _write(self, items: list[Item], space: Space) -> list[Item]:
        """Those that were written: not what is no longer wanted, nor what the embedder refused."""
        items, vectors = await self._embed(items, space.embedder)
        with stage(Stage.INDEX):
            wanted = [place for place, item in enumerate(items) if not item.order.done.done()]
            items = [items[place] for place in wanted]
            if items:
                await space.vectors.upsert([item.chunk for item in items], vectors[wanted])
        return items

    async def _embed(self, items: list[Item], embedder: Embedder) -> tuple[list[Item], Vectors]:
        """Vectors of a batch; where the embedder refuses a text, only that text's document fails."""
        with stage(Stage.EMBED):
            try:
                return items, await embedder.embed([item.chunk.text for item in items], Role.PASSAGE)
            except InvalidArgument:
                if len(items) == 1:
                    raise
        good: list[tuple[Item, Vectors]] = []
        for item in items:
            try:
                good.append((item, (await self._embed([item], embedder))[1]))
            except Exception as error:  # noqa: BLE001 likewise
                item.order.fail(error)
        return [item for item, _ in good], np.vstack([vectors for _, vectors in good]) if good else NOTHING


NOTHING = np.empty((0, 0), np.float32)


def _wanted(items: list[Item]) -> list[Item]:
    return [item for item in items if not item.order.done.done()]
