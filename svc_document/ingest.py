"""Making one document searchable.

lease -> parse and cut -> embed and write -> read back -> READY in one transaction -> drop older generations

Every step may be done twice, by two workers even: chunk ids are the same each time, and what counts is written
under the lease. Whoever loses the lease removes what nobody else will.
"""

from collections.abc import Sequence

import structlog
from prometheus_client import Counter

from ragmesh.chunk import Chunk
from ragmesh.errors import MeshError
from ragmesh.language import language_of
from ragmesh.storage.blobs import Blobs
from ragmesh.storage.vectors.port import ChunkKeeper
from svc_document.chunking import ChunkedDocument
from svc_document.indexing import Indexer
from svc_document.leasing import Held, LeaseKeeper
from svc_document.model import Failure, IngestError, Lease, LeaseLost, Queued, Result, Stage
from svc_document.ports import Cutter, Leases
from svc_document.stages import RetryPolicy, stage

log = structlog.get_logger()

DOCUMENTS = Counter("ragmesh_ingest_documents_total", "Tries to index a document, by outcome", ["outcome"])


class Ingest:
    """Processes documents, one call for each; safe to call concurrently."""

    def __init__(
        self,
        *,
        leases: Leases,
        keeper: LeaseKeeper,
        blobs: Blobs,
        cutter: Cutter,
        indexer: Indexer,
        vectors: ChunkKeeper,
        policy: RetryPolicy,
    ) -> None:
        self._leases = leases
        self._keeper = keeper
        self._blobs = blobs
        self._cutter = cutter
        self._indexer = indexer
        self._vectors = vectors
        self._policy = policy

    async def process(self, queued: Queued) -> None:
        """Brings a document to READY, to FAILED, or to its next try; does nothing where nothing is to be done.

        Raises Unavailable where not even that could be written down.
        """
        lease = await self._leases.take(queued)
        if not lease:
            return  # made already, deleted, or another worker's: when that one dies, a sweep queues it again
        settled = False
        try:
            outcome = await self._settle(lease)
            settled = True
        except LeaseLost:
            outcome, settled = "lost", True
            await self._clean_up(lease)
        finally:
            if not settled:
                await self._leases.release(lease)
        DOCUMENTS.labels(outcome).inc()
        log.info("document.processed", document_id=lease.document_id, outcome=outcome, attempt=lease.attempt)

    async def _settle(self, lease: Lease) -> str:
        if lease.attempt > self._policy.attempts:  # only tries that ended with their worker come to this
            return await self._give_up(lease, Failure(Stage.PARSE, "worker_lost", WORKER_LOST, retriable=False))
        try:
            async with self._keeper.hold(lease) as held:
                await self._make_searchable(held)
        except IngestError as error:
            return await self._retry_or_fail(lease, error.failure)
        except (LeaseLost, MeshError):
            raise
        except Exception:
            log.exception("document.unforeseen", document_id=lease.document_id)
            return await self._retry_or_fail(lease, UNFORESEEN)
        return "ready"

    async def _make_searchable(self, held: Held) -> None:
        lease = held.lease
        with stage(Stage.PARSE):
            async with self._blobs.local(lease.document_id) as path:
                cut = await self._cutter.chunks(path, lease.name)
        chunks = _chunks(lease, cut)
        await self._indexer.index(held, chunks)
        with stage(Stage.INDEX):
            await self._read_back(lease, len(chunks))
        await self._leases.finish(lease, Result(cut.content_type, cut.page_count, len(chunks)))
        if lease.generation > 1:
            await self._drop_older(lease)

    async def _read_back(self, lease: Lease, expected: int) -> None:
        found = await self._vectors.count(lease.collection_id, lease.document_id, lease.generation)
        if found < expected:
            message = f"{expected} chunks were written, {found} can be read: it is tried again"
            raise IngestError(Failure(Stage.INDEX, "index_incomplete", message, retriable=True))

    async def _drop_older(self, lease: Lease) -> None:
        """Frees space only: no search shows an older generation any more."""
        try:
            await self._vectors.delete_document(
                lease.collection_id, lease.document_id, below_generation=lease.generation
            )
        except MeshError as error:
            log.warning("document.older_generation_kept", document_id=lease.document_id, error=error.message)

    async def _retry_or_fail(self, lease: Lease, failure: Failure) -> str:
        if not failure.retriable or lease.attempt >= self._policy.attempts:
            return await self._give_up(lease, failure)
        delay_s = self._policy.delay_s(lease.attempt)
        await self._leases.retry(lease, failure, delay_s)
        log.warning("document.retried", document_id=lease.document_id, code=failure.code, delay_s=round(delay_s, 2))
        return "retry"

    async def _give_up(self, lease: Lease, failure: Failure) -> str:
        await self._leases.fail(lease, failure)
        log.warning(
            "document.failed", document_id=lease.document_id, code=failure.code, stage=failure.stage.lower()
        )
        return "failed"

    async def _clean_up(self, lease: Lease) -> None:
        """Removes chunks written for a document that is gone, or for a generation that is past.

        Those of a generation that another worker makes now are its chunks too, and stay.
        """
        kept_from = await self._leases.oldest_kept(lease.document_id)
        await self._vectors.delete_document(lease.collection_id, lease.document_id, below_generation=kept_from)
        await self._leases.release(lease)


WORKER_LOST = "each worker that processed it was lost: the file may need more memory than there is; split it"
UNFORESEEN = Failure(Stage.PARSE, "internal", "an unforeseen fault; the worker's log tells more", retriable=True)


def _chunks(lease: Lease, cut: ChunkedDocument) -> Sequence[Chunk]:
    return [
        Chunk(
            collection_id=lease.collection_id,
            document_id=lease.document_id,
            generation=lease.generation,
            ordinal=ordinal,
            document_name=lease.name,
            content_type=cut.content_type,
            page=passage.page,
            start=passage.start,
            end=passage.end,
            text=passage.text,
            headings=passage.headings,
            metadata=lease.metadata,
            language=language_of(passage.text),
        )
        for ordinal, passage in enumerate(cut.chunks)
    ]
