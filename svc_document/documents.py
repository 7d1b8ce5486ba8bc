"""What can be asked of documents that are there: read, list, delete, index anew, download, resolve."""

from collections.abc import AsyncGenerator, Sequence
from operator import attrgetter

import structlog

from ragmesh.errors import InvalidArgument, NotFound
from ragmesh.storage.blobs import Blobs
from ragmesh.storage.vectors.port import ChunkKeeper
from svc_document import naming, paging
from svc_document.model import DEFAULT_COLLECTION, Collection, Document, LiveDocument, State
from svc_document.paging import Page
from svc_document.ports import Collections, Documents

log = structlog.get_logger()

RESOLVE_MAX = 1000
RETRY_MAX = 1000


class Library:
    """The documents of all tenants; each call sees its own tenant's."""

    def __init__(self, collections: Collections, documents: Documents, blobs: Blobs, vectors: ChunkKeeper) -> None:
        self._collections = collections
        self._documents = documents
        self._blobs = blobs
        self._vectors = vectors

    async def get(self, tenant: str, document_id: str) -> Document:
        """One document. Raises NotFound."""
        return await self._documents.get(tenant, naming.document_id(document_id))

    async def page(
        self, tenant: str, collection: str, *, state: State | None, page_size: int, page_token: str
    ) -> Page[Document]:
        """A collection's documents, newest first."""
        limit = paging.size(page_size)
        found = await self._collections.find(tenant, naming.collection_name(collection))
        scope = (found.id, state or "")
        before = paging.read(page_token, scope)
        entries = await self._documents.page(found, state=state, before=before, limit=limit + 1)
        return paging.cut(entries, limit, scope, attrgetter("id"))

    async def delete(self, tenant: str, document_id: str) -> None:
        """Hides a document at once, then removes its parts. A sweep ends what is broken off in between."""
        document = await self._documents.hide(tenant, naming.document_id(document_id))
        await remove(document, self._documents, self._blobs, self._vectors)
        log.info("document.deleted", document_id=document_id)

    async def reprocess(self, tenant: str, document_id: str) -> Document:
        """Queues a document for its next generation, unless one is in the making. Raises NotFound."""
        return await self._documents.reprocess(tenant, naming.document_id(document_id))

    async def failed(self, *, page_size: int, page_token: str) -> Page[Document]:
        """Documents of all tenants that were given up, newest first."""
        limit, scope = paging.size(page_size), ("failed",)
        entries = await self._documents.failed(before=paging.read(page_token, scope) or None, limit=limit + 1)
        return paging.cut(entries, limit, scope, attrgetter("id"))

    async def retry_failed(self, document_ids: Sequence[str]) -> int:
        """Queues documents of all tenants that were given up; without ids all of them. Returns how many."""
        if len(document_ids) > RETRY_MAX:
            raise InvalidArgument(f"{len(document_ids)} document ids: name at most {RETRY_MAX}, or none for all")
        wanted = [naming.document_id(document_id) for document_id in document_ids]
        queued = some = await self._documents.retry_failed(wanted, limit=RETRY_MAX)
        while some == RETRY_MAX and not wanted:
            some = await self._documents.retry_failed(wanted, limit=RETRY_MAX)
            queued += some
        log.info("documents.retried", count=queued)
        return queued

    async def download(self, tenant: str, document_id: str) -> tuple[Document, AsyncGenerator[bytes]]:
        """A document and its original bytes, in pieces of any size."""
        document = await self.get(tenant, document_id)
        return document, self._blobs.read(document.id)

    async def resolve(
        self, tenant: str, collection: str, document_ids: Sequence[str]
    ) -> tuple[Collection, list[LiveDocument]]:
        """Which of some documents may be shown, with the collection as it is at that moment."""
        if len(document_ids) > RESOLVE_MAX:
            raise InvalidArgument(f"{len(document_ids)} document ids: ask for at most {RESOLVE_MAX}")
        name = naming.collection_name(collection)
        if resolved := await self._documents.resolve(tenant, name, document_ids):
            return resolved
        if name == DEFAULT_COLLECTION:
            return await self._collections.find(tenant, name), []
        raise NotFound(f"there is no collection {name!r}: create it first, or list those there are")


async def remove(document: Document, documents: Documents, blobs: Blobs, vectors: ChunkKeeper) -> None:
    """Removes what a hidden document left: its chunks, its bytes, its row. Again is no harm.

    The row stays while a worker's lease runs: whatever that worker still writes, a sweep finds and removes.
    """
    await vectors.delete_document(document.collection_id, document.id)
    await blobs.delete(document.id)
    await documents.erase(document.id)
