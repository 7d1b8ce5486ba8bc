"""Vector spaces: an embedding model, and the chunks with its vectors.

Vectors of two models can't be compared. So a question is embedded and searched in one space, and chunks are written
to every space that is kept: the one in use, and those that may take its place.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Self

from ragmesh.inference.embed import TritonEmbedder
from ragmesh.inference.lane import at_ease
from ragmesh.inference.port import Embedder, ModelId
from ragmesh.inference.roles import embedding_models
from ragmesh.settings import Settings
from ragmesh.storage.vectors.milvus import MilvusVectors
from ragmesh.storage.vectors.port import ChunkKeeper, ChunkWriter
from ragmesh.storage.vectors.schema import collection_name


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """One model's."""

    model: str  # NAME@VERSION
    embedder: Embedder
    vectors: ChunkWriter


class Spaces:
    """Opens spaces, each once. Use it with `async with`: they stay open inside the block."""

    def __init__(self, settings: Settings, pressure: Callable[[], float] = at_ease) -> None:
        """`pressure`: of those whom the embedding of passages lets go first."""
        self._settings = settings
        self._pressure = pressure
        self._open: dict[str, tuple[TritonEmbedder, MilvusVectors]] = {}
        self._opening = asyncio.Lock()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    async def open(self, model: str) -> tuple[TritonEmbedder, MilvusVectors]:
        """A model and its chunks. Waits until both servers have them.

        Raises FailedPrecondition where the first one is not the one that documents were indexed with.
        """
        async with self._opening:
            if model not in self._open:
                embedder = await self._stack.enter_async_context(
                    TritonEmbedder(self._settings.triton_url, model, pressure=self._pressure)
                )
                token = self._settings.milvus_token.get_secret_value()
                vectors = await self._stack.enter_async_context(
                    MilvusVectors(self._settings.milvus_uri, token, embedder.info)
                )
                if not self._open:
                    await vectors.require_leader([_collection(each) for each in embedding_models(self._settings)])
                self._open[model] = embedder, vectors
            return self._open[model]

    async def open_all(self, models: Sequence[str]) -> tuple[Space, ...]:
        """Likewise, for those who write to several."""
        return tuple([Space(model, *await self.open(model)) for model in models])


def _collection(named: str) -> str:
    model = ModelId.parse(named)
    return collection_name(model.name, model.version)


@dataclass(frozen=True, slots=True)
class Everywhere:
    """Implements ChunkKeeper for all spaces that are kept."""

    spaces: Callable[[], Sequence[Space]]

    async def count(self, collection_id: str, document_id: str, generation: int) -> int:
        """As many as can be found in each of them."""
        return min([await each.count(collection_id, document_id, generation) for each in self._keepers()])

    async def delete_document(
        self, collection_id: str, document_id: str, *, below_generation: int | None = None
    ) -> None:
        """Deletes a document's chunks, or those of older generations."""
        for each in self._keepers():
            await each.delete_document(collection_id, document_id, below_generation=below_generation)

    async def delete_collection(self, collection_id: str) -> None:
        """Deletes every chunk of a collection."""
        for each in self._keepers():
            await each.delete_collection(collection_id)

    def _keepers(self) -> Sequence[ChunkKeeper]:
        return [space.vectors for space in self.spaces()]
