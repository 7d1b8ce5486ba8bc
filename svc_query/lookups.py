"""What is looked up before it is computed: vectors of queries, and the count of every such look-up."""

import asyncio
import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Counter

from ragmesh.inference.port import EmbedderInfo, Role, Words
from ragmesh.storage.cache.port import Cache
from svc_query.ports import ReadingEmbedder

LOOKUPS = Counter("ragmesh_cache_lookups_total", "Look-ups in the cache", ["cache", "outcome"])
FLOAT = np.dtype("<f4")


class CachedEmbedder:
    """An embedder that remembers queries, for they come again; passages do not."""

    def __init__(self, embedder: ReadingEmbedder, cache: Cache, ttl_s: float) -> None:
        self._embedder = embedder
        self._cache = cache
        self._ttl_s = ttl_s

    @property
    def info(self) -> EmbedderInfo:
        return self._embedder.info

    async def embed(self, texts: Sequence[str], role: Role) -> NDArray[np.float32]:
        """Vectors of shape (len(texts), dims), in order; those of unknown queries in one call."""
        if role is not Role.QUERY:
            return await self._embedder.embed(texts, role)
        known = await asyncio.gather(*(self._recall(text) for text in texts))
        missing = [text for text, vector in zip(texts, known, strict=True) if vector is None]
        fresh = iter(await self._compute(missing, role) if missing else ())
        return np.stack([next(fresh) if vector is None else vector for vector in known])

    async def embed_words(self, text: str, role: Role) -> Words:
        """The words of a text, as they are read anew."""
        return await self._embedder.embed_words(text, role)

    async def _compute(self, texts: Sequence[str], role: Role) -> NDArray[np.float32]:
        vectors = await self._embedder.embed(texts, role)
        values = [vector.astype(FLOAT).tobytes() for vector in vectors]
        pairs = zip(texts, values, strict=True)
        await asyncio.gather(*(self._cache.set(self._key(text), value, self._ttl_s) for text, value in pairs))
        return vectors

    async def _recall(self, text: str) -> NDArray[np.float32] | None:
        value = await self._cache.get(self._key(text))
        LOOKUPS.labels("embedding", "miss" if value is None else "hit").inc()
        return None if value is None else np.frombuffer(value, FLOAT).astype(np.float32)

    def _key(self, text: str) -> str:
        model = f"{self.info.name}/{self.info.version}/{Role.QUERY}"
        return f"embedding/{model}/{hashlib.sha256(text.encode()).hexdigest()}"
