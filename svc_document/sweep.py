"""The sweep: what a dead process left half done is taken up again."""

import asyncio

import structlog
from prometheus_client import Gauge

from ragmesh.errors import MeshError
from ragmesh.storage.blobs import Blobs
from ragmesh.storage.vectors.port import ChunkKeeper
from svc_document.documents import remove
from svc_document.ports import Chores, Documents

log = structlog.get_logger()

QUEUE_DOCUMENTS = Gauge("ragmesh_ingest_queue_documents", "Documents that wait for a worker or are with one")
OLDEST_SECONDS = Gauge("ragmesh_ingest_oldest_seconds", "How long the oldest unfinished document has waited")

ABANDONED_S = 24 * 3600.0  # no upload takes as long
KEYS_KEPT_S = 24 * 3600.0


class Sweeper:
    """Sweeps now and then. Several may do so at once."""

    def __init__(
        self, chores: Chores, documents: Documents, blobs: Blobs, vectors: ChunkKeeper, *, every_s: float
    ) -> None:
        self._chores = chores
        self._documents = documents
        self._blobs = blobs
        self._vectors = vectors
        self._every_s = every_s

    async def run(self) -> None:
        """Sweeps until it is cancelled; a part that is away is met again the next time."""
        swept_blobs = False
        while True:
            try:
                if not swept_blobs:
                    await self.sweep_blobs(older_than_s=ABANDONED_S)
                    swept_blobs = True
                await self.sweep()
            except MeshError as error:
                log.warning("sweep.failed", error=error.message)
            await asyncio.sleep(self._every_s)

    async def sweep(self) -> None:
        """One round over documents and collections."""
        if requeued := await self._chores.requeue():
            log.info("documents.requeued", count=requeued)
        for document in await self._chores.half_deleted(older_than_s=self._every_s):
            await remove(document, self._documents, self._blobs, self._vectors)
        for collection_id in await self._chores.empty_deleted_collections():
            await self._vectors.delete_collection(collection_id)
            await self._chores.erase_collection(collection_id)
        await self._chores.forget_upload_keys(older_than_s=KEYS_KEPT_S)
        backlog = await self._chores.backlog()
        QUEUE_DOCUMENTS.set(backlog.documents)
        OLDEST_SECONDS.set(backlog.oldest_s)

    async def sweep_blobs(self, *, older_than_s: float) -> None:
        """Removes bytes that no document has: uploads that ended between their bytes and their row."""
        await self._blobs.sweep(older_than_s=older_than_s)
        async for keys in self._blobs.keys(older_than_s=older_than_s):
            for key in await self._documents.unknown(keys):
                await self._blobs.delete(key)
                log.info("blob.abandoned", key=key)
