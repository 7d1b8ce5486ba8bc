"""What reads the chunks of one embedding model: searches, suggestions, opened documents."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Self

from ragmesh.storage.cache.port import Cache
from ragmesh.storage.vectors.spaces import Spaces
from svc_query.lookups import CachedEmbedder
from svc_query.passages import Passages
from svc_query.ports import CountingEmbedder, Documents
from svc_query.retrieve import Retriever
from svc_query.suggest import Suggester


@dataclass(frozen=True, slots=True, eq=False)
class Index:
    """One model's."""

    embedder: CountingEmbedder
    retriever: Retriever
    suggester: Suggester
    passages: Passages


class Indexes:
    """Opens indexes, each once. They stay open inside the block, for those who have begun with one."""

    def __init__(self, spaces: Spaces, documents: Documents, cache: Cache, ttl_s: float) -> None:
        """`ttl_s`: how long vectors of queries are remembered."""
        self._spaces = spaces
        self._documents = documents
        self._cache = cache
        self._ttl_s = ttl_s
        self._open: dict[str, Index] = {}
        self._opening = asyncio.Lock()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    async def open(self, model: str) -> Index:
        """The index of an embedding model. Waits until it can be searched."""
        async with self._opening:
            if model not in self._open:
                self._open[model] = await self._build(model)
            return self._open[model]

    async def _build(self, model: str) -> Index:
        embedder, vectors = await self._spaces.open(model)
        cached = CachedEmbedder(embedder, self._cache, self._ttl_s)
        retriever = await self._stack.enter_async_context(Retriever(cached, vectors, self._documents))
        return Index(
            embedder,
            retriever,
            Suggester(retriever, vectors, self._documents),
            Passages(vectors, self._documents),
        )
