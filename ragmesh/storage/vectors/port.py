"""What ingestion and search ask of a vector store."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ragmesh.chunk import Chunk
from ragmesh.filter import Filter

Vectors = NDArray[np.float32]


class Side(StrEnum):
    """Which index of a chunk is searched."""

    DENSE = "dense"
    SPARSE = "sparse"


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a search looks. Equal scopes may share a call."""

    collection_id: str
    filter: Filter = ()


@dataclass(frozen=True, slots=True)
class Edition:
    """One generation of a document. Its chunks are numbered from 0, as its text and so its pages go."""

    collection_id: str
    document_id: str
    generation: int


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that was found; a higher score is better, comparable within one side and call."""

    chunk: Chunk
    score: float


class ChunkKeeper(Protocol):
    """What needs no vectors. Every method is idempotent.

    Searches may see what was written or deleted a moment later, but nothing older than what `count` has told.
    """

    async def count(self, collection_id: str, document_id: str, generation: int) -> int:
        """How many chunks of a generation every search that begins from now on can see."""
        ...

    async def delete_document(
        self, collection_id: str, document_id: str, *, below_generation: int | None = None
    ) -> None:
        """Deletes a document's chunks: all, or those of generations older than `below_generation`."""
        ...

    async def delete_collection(self, collection_id: str) -> None:
        """Deletes every chunk of a collection."""
        ...


class ChunkWriter(ChunkKeeper, Protocol):
    """The half that ingestion needs."""

    async def upsert(self, chunks: Sequence[Chunk], vectors: Vectors) -> None:
        """Writes chunks with their vectors, shape (len(chunks), dims)."""
        ...


class ChunkSearcher(Protocol):
    """The half that questions need. Raises Unavailable, DeadlineExceeded."""

    @property
    def ranks_words(self) -> bool:
        """Whether `search_sparse` can be asked: not every server can."""
        ...

    async def search_dense(self, scope: Scope, vectors: Vectors, limit: int) -> Sequence[Sequence[Hit]]:
        """The `limit` nearest chunks of each vector, shape (n, dims); one list for each, best first."""
        ...

    async def search_sparse(self, scope: Scope, queries: Sequence[str], limit: int) -> Sequence[Sequence[Hit]]:
        """The `limit` best chunks of each query by BM25; one list for each, best first."""
        ...

    async def languages(self, collection_id: str) -> frozenset[str]:
        """The languages of a collection's chunks, of many the first few; none where that was not noted."""
        ...

    async def sample(self, scope: Scope, limit: int) -> Sequence[Chunk]:
        """At most `limit` chunks from the beginnings of documents; the same ones as long as nothing changes."""
        ...

    async def listed(self, edition: Edition, ordinals: range, page: int) -> Sequence[Chunk]:
        """The chunks with these ordinals on this page, 0 for any, in order. As fresh as what `count` has told."""
        ...

    async def count_before(self, edition: Edition, page: int) -> int:
        """How many chunks come before a page: the ordinal that its first one has, if it has any."""
        ...


class ChunkStore(ChunkWriter, ChunkSearcher, Protocol):
    """Both."""
