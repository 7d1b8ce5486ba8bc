"""A document service for tests: real gRPC, SQLite and files; models and vectors in memory, to fail on cue."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import numpy as np

from ragmesh.chunk import Chunk
from ragmesh.inference.port import EmbedderInfo, Role
from ragmesh.rpc.channels import open_channel
from ragmesh.rpc.config import Live
from ragmesh.rpc.context import outgoing
from ragmesh.rpc.errors import translated
from ragmesh.rpc.server import serving
from ragmesh.settings import Settings
from ragmesh.storage.blobs import ObjectBlobs
from ragmesh.storage.database import connect, migrate
from ragmesh.storage.vectors.port import ChunkWriter
from ragmesh.storage.vectors.spaces import Space
from ragmesh.v1 import (
    Document,
    DocumentServiceStub,
    ResolveDocumentsRequest,
    UploadDocumentRequest,
    UploadSpec,
    WatchDocumentRequest,
)
from svc_document.__main__ import Parts, servicer, worker
from svc_document.chunking import ChunkedDocument, Passage
from svc_document.migrations import MIGRATIONS
from svc_document.parse.document import ParseError
from svc_document.store.chores import SqlChores
from svc_document.store.documents import SqlDocuments
from svc_document.sweep import Sweeper

DIMS = 8
QUICK = {
    "lease_s": 0.6,
    "poll_s": 0.02,
    "retry_first_delay_s": 0.02,
    "retry_max_delay_s": 0.05,
    "max_attempts": 3,
    "drain_s": 0,
}


class Faults:
    """What the next calls of a fake do instead of working: raise an exception, or wait for an event."""

    def __init__(self) -> None:
        self._planned: list[Exception | asyncio.Event] = []
        self.met = asyncio.Event()

    def plan(self, *faults: Exception | asyncio.Event) -> None:
        self._planned.extend(faults)

    async def meet(self) -> None:
        if not self._planned:
            return
        fault = self._planned.pop(0)
        self.met.set()
        if isinstance(fault, Exception):
            raise fault
        await fault.wait()


@dataclass
class MemoryVectors:
    """Implements ChunkWriter."""

    chunks: dict[str, Chunk] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)

    async def upsert(self, chunks: Sequence[Chunk], vectors: np.ndarray) -> None:
        await self.faults.meet()
        assert vectors.shape == (len(chunks), DIMS)
        self.chunks.update({chunk.chunk_id: chunk for chunk in chunks})

    async def count(self, collection_id: str, document_id: str, generation: int) -> int:
        return len([chunk for chunk in self.of(document_id) if chunk.generation == generation])

    async def delete_document(
        self, collection_id: str, document_id: str, *, below_generation: int | None = None
    ) -> None:
        self._drop(
            lambda chunk: (
                chunk.document_id == document_id
                and (below_generation is None or chunk.generation < below_generation)
            )
        )

    async def delete_collection(self, collection_id: str) -> None:
        self._drop(lambda chunk: chunk.collection_id == collection_id)

    def of(self, document_id: str) -> list[Chunk]:
        return [chunk for chunk in self.chunks.values() if chunk.document_id == document_id]

    def _drop(self, doomed: Callable[[Chunk], bool]) -> None:
        self.chunks = {key: chunk for key, chunk in self.chunks.items() if not doomed(chunk)}


@dataclass
class HashEmbedder:
    """Implements Embedder."""

    faults: Faults = field(default_factory=Faults)
    batches: list[int] = field(default_factory=list)
    delay_s: float = 0.0
    info: EmbedderInfo = field(default_factory=lambda: EmbedderInfo("hash", "1", DIMS, 512, frozenset(), "", ""))

    async def embed(self, texts: Sequence[str], role: Role) -> np.ndarray:
        await self.faults.meet()
        await asyncio.sleep(self.delay_s * len(texts))
        self.batches.append(len(texts))
        digests = [hashlib.sha256(text.encode()).digest()[:DIMS] for text in texts]
        return np.array([list(digest) for digest in digests], np.float32)


class LineCutter:
    """Implements Cutter: a chunk for each line; "broken" can't be read."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.cut = 0  # documents so far

    async def chunks(self, path: Path, name: str) -> ChunkedDocument:
        await self.faults.meet()
        self.cut += 1
        text = path.read_text()  # noqa: ASYNC240 a few bytes
        if text == "broken":
            raise ParseError("broken", f"{name} is broken: repair it and upload it again")
        passages = tuple(Passage(0, 0, len(line), line, ()) for line in text.splitlines())
        return ChunkedDocument("text/plain", 0, len(text), passages)


async def until(condition: Callable[[], object]) -> None:
    """Returns once the condition holds; for what other processes do, and files."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 nobody sets an event
            await asyncio.sleep(0.01)


@dataclass
class House:
    """A document service that runs, and its insides."""

    parts: Parts
    channel: grpc.aio.Channel  # to it
    stub: DocumentServiceStub
    vectors: MemoryVectors
    embedder: HashEmbedder
    cutter: LineCutter
    blobs: Path

    async def upload(
        self, content: bytes, name: str = "notes.txt", *, collection: str = "", pieces: int = 1, **spec: object
    ) -> Document:
        step = max(1, -(-len(content) // pieces))

        async def requests() -> AsyncIterator[UploadDocumentRequest]:
            yield UploadDocumentRequest(spec=UploadSpec(collection=collection, name=name, **spec))
            for start in range(0, len(content), step):
                yield UploadDocumentRequest(data=content[start : start + step])

        with translated():
            return await self.stub.upload_document(requests(), **outgoing(10))

    async def watched(self, document_id: str) -> list[Document]:
        """Each state of a document until it is terminal."""
        with translated():
            call = self.stub.watch_document(WatchDocumentRequest(id=document_id), **outgoing(20))
            return [document async for document in call]

    async def live(self, *document_ids: str) -> dict[str, int]:
        with translated():
            answer = await self.stub.resolve_documents(
                ResolveDocumentsRequest(document_ids=list(document_ids)), **outgoing(10)
            )
        return {one.document_id: one.generation for one in answer.live}

    def sweeper(self) -> Sweeper:
        parts = self.parts
        documents, chores = SqlDocuments(parts.database), SqlChores(parts.database)
        return Sweeper(chores, documents, parts.blobs, parts.vectors, every_s=0.02)

    @asynccontextmanager
    async def working(self, cutter: LineCutter | None = None) -> AsyncIterator[asyncio.Task[None]]:
        """A worker and a sweeper at work."""
        async with worker(self.parts, cutter or self.cutter) as one, asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(one.run()), tasks.create_task(self.sweeper().run())]
            yield running[0]
            for task in running:
                task.cancel()


@asynccontextmanager
async def house(folder: Path, *, writer: ChunkWriter | None = None, **settings: object) -> AsyncIterator[House]:
    """The service in this process, on a free port. With a `writer`, chunks go there and not into memory."""
    chosen = Settings(data_dir=folder, **(QUICK | settings))
    vectors, embedder = MemoryVectors(), HashEmbedder()
    space = Space("hash@1", embedder, writer or vectors)
    async with connect(chosen.database) as database:
        await migrate(database, MIGRATIONS)
        parts = Parts(Live(chosen), database, ObjectBlobs.of(chosen), lambda: (space,))
        async with (
            servicer(parts) as service,
            serving("document", [service], Live(chosen)) as running,
            open_channel(chosen, running.address) as channel,
        ):
            yield House(
                parts, channel, DocumentServiceStub(channel), vectors, embedder, LineCutter(), folder / "blobs"
            )
