"""Documents embedded anew with another model, beside the vectors that searches use meanwhile.

    begin or take up -> copy every searchable document -> look again until nothing is missing -> check -> go over

What is written from now on goes into both spaces by itself (`indexing`); here only what was there before is copied,
text by text, in the lane that lets questions go first. A pass that was interrupted goes on after the last document
that it finished. Searches go over all at once: each runs in one space from its beginning to its end.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import numpy as np
import structlog
from prometheus_client import Counter

from ragmesh.inference.port import Embedder, Role
from ragmesh.storage.vectors.port import ChunkSearcher, ChunkStore, Edition, Scope

log = structlog.get_logger()

CHUNKS = Counter("ragmesh_chunks_reembedded_total", "Chunks that got a vector of another model")

READ_AT_ONCE = 64  # chunks
DOCUMENTS_AT_ONCE = 100  # listed
SETTLE_S = 3.0  # after it, every worker writes into the new space too
SAMPLE = 32  # chunks that must find themselves
FOUND_MIN = 0.9  # share of them: equal texts in several documents may stand for each other


class ReembedState(StrEnum):
    """Where a re-embedding is."""

    RUNNING = "running"
    VERIFYING = "verifying"
    ACTIVE = "active"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Kept:
    """A searchable document, and how many chunks it has."""

    edition: Edition
    chunks: int


@dataclass(frozen=True, slots=True)
class Job:
    """A re-embedding that this worker holds."""

    model: str  # NAME@VERSION
    token: str
    after: str  # the last document of the first pass that is done; empty for none
    chunks_done: int


@dataclass(frozen=True, slots=True)
class Reembedding:
    """How far one has come."""

    model: str
    state: ReembedState
    chunks_done: int
    chunks_total: int
    reason: str
    created_at: datetime
    updated_at: datetime


class Reembeddings(Protocol):
    """Re-embeddings, as operators see them."""

    async def get(self, model: str) -> Reembedding:
        """How far a model's has come; the latest where none is named. Raises NotFound."""
        ...


class JobLost(Exception):
    """Another worker has taken it over."""


class Jobs(Protocol):
    """Re-embeddings, one for each model. Writes of a job that is lost raise JobLost and change nothing."""

    async def take(self, model: str) -> Job | None:
        """Begins it, or takes it up where another worker has died; None where one is at work, or it is over."""
        ...

    async def note(
        self, job: Job, state: ReembedState, *, after: str | None = None, chunks_done: int | None = None
    ) -> None:
        """Notes how far it is, and holds it for longer."""
        ...

    async def end(self, job: Job, state: ReembedState, reason: str = "") -> None:
        """It is over."""
        ...

    async def searchable(self, *, after: str, limit: int) -> Sequence[Kept]:
        """Searchable documents of all tenants, by id, from after one."""
        ...

    async def is_searchable(self, edition: Edition) -> bool:
        """Whether an edition is still the one that searches may show."""
        ...


@dataclass(frozen=True, slots=True)
class Move:
    """From one space into another."""

    source: ChunkSearcher  # of the model in use
    target: ChunkStore
    embedder: Embedder  # of the target


class Reembedder:
    """Carries out one re-embedding."""

    def __init__(self, jobs: Jobs, move: Move, *, batch: int) -> None:
        self._jobs = jobs
        self._move = move
        self._batch = batch

    async def run(self, job: Job) -> str | None:
        """Returns None when the target is complete, or why it can't be used. Raises MeshError, JobLost."""
        await self._copy_all(job)
        await self._jobs.note(job, ReembedState.VERIFYING)
        await asyncio.sleep(SETTLE_S)
        while copied := await self._copy_missing(job):
            log.info("reembedding.caught_up", model=job.model, documents=copied)
        return await self._fault()

    async def _copy_all(self, job: Job) -> None:
        after, done = job.after, job.chunks_done
        while documents := await self._jobs.searchable(after=after, limit=DOCUMENTS_AT_ONCE):
            for kept in documents:
                await self._copy(job, ReembedState.RUNNING, kept)
                after, done = kept.edition.document_id, done + kept.chunks
                await self._jobs.note(job, ReembedState.RUNNING, after=after, chunks_done=done)

    async def _copy_missing(self, job: Job) -> int:
        """Copies what is not complete; returns how many documents that were."""
        after, copied = "", 0
        while documents := await self._jobs.searchable(after=after, limit=DOCUMENTS_AT_ONCE):
            for kept in documents:
                copied += await self._copy(job, ReembedState.VERIFYING, kept)
            after = documents[-1].edition.document_id
            await self._jobs.note(job, ReembedState.VERIFYING)
        return copied

    async def _copy(self, job: Job, state: ReembedState, kept: Kept) -> bool:
        """Whether there was something to copy: a document may be complete already."""
        edition, target = kept.edition, self._move.target
        if await target.count(edition.collection_id, edition.document_id, edition.generation) >= kept.chunks:
            return False
        for start in range(0, kept.chunks, READ_AT_ONCE):
            ordinals = range(start, min(start + READ_AT_ONCE, kept.chunks))
            chunks = await self._move.source.listed(edition, ordinals, page=0)
            for at in range(0, len(chunks), self._batch):
                some = chunks[at : at + self._batch]
                vectors = await self._move.embedder.embed([chunk.text for chunk in some], Role.PASSAGE)
                await target.upsert(some, vectors)
                CHUNKS.inc(len(some))
                await self._jobs.note(job, state)
        if not await self._jobs.is_searchable(edition):  # deleted, or made anew, while it was copied
            below = edition.generation + 1
            await target.delete_document(edition.collection_id, edition.document_id, below_generation=below)
            return False
        return True

    async def _fault(self) -> str | None:
        """What is wrong with the new space: chunks of it must be found by their own text."""
        documents = await self._jobs.searchable(after="", limit=SAMPLE)
        found = [await self._finds_itself(kept) for kept in documents if kept.chunks]
        if found and np.mean(found) < FOUND_MIN:
            return f"of {len(found)} passages only {sum(found)} are found by their own text"
        return None

    async def _finds_itself(self, kept: Kept) -> bool:
        chunks = await self._move.source.listed(kept.edition, range(1), page=0)
        if not chunks:
            return True  # deleted meanwhile
        chunk = chunks[0]
        vectors = await self._move.embedder.embed([chunk.text], Role.PASSAGE)
        (hits,) = await self._move.target.search_dense(Scope(kept.edition.collection_id), vectors, 3)
        return chunk.text in {hit.chunk.text for hit in hits}
