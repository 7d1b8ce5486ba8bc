"""What can be asked of collections."""

from operator import attrgetter

import structlog

from ragmesh.errors import FailedPrecondition, InvalidArgument
from ragmesh.storage.vectors.port import ChunkKeeper
from svc_document import naming, paging
from svc_document.model import DEFAULT_COLLECTION, Collection
from svc_document.paging import Page
from svc_document.ports import Collections

log = structlog.get_logger()


class Shelves:
    """The collections of all tenants; each call sees its own tenant's."""

    def __init__(self, collections: Collections, vectors: ChunkKeeper) -> None:
        self._collections = collections
        self._vectors = vectors

    async def create(self, tenant: str, name: str) -> Collection:
        """A new collection. Raises AlreadyExists."""
        if not name:
            raise InvalidArgument("the collection has no name: give it one", field="name")
        await self._collections.find(tenant, DEFAULT_COLLECTION)
        return await self._collections.create(tenant, naming.collection_name(name))

    async def get(self, tenant: str, name: str) -> Collection:
        """One collection. Raises NotFound."""
        return await self._collections.find(tenant, naming.collection_name(name))

    async def page(self, tenant: str, *, page_size: int, page_token: str) -> Page[Collection]:
        """The tenant's collections by name."""
        limit, scope = paging.size(page_size), ("collections", tenant)
        entries = await self._collections.page(tenant, after=paging.read(page_token, scope), limit=limit + 1)
        return paging.cut(entries, limit, scope, attrgetter("name"))

    async def delete(self, tenant: str, name: str) -> None:
        """Hides a collection with its documents at once and removes their chunks; a sweep removes the rest."""
        name = naming.collection_name(name)
        if name == DEFAULT_COLLECTION:
            raise FailedPrecondition(f"the collection {name!r} always exists: delete its documents instead")
        collection = await self._collections.hide(tenant, name)
        await self._vectors.delete_collection(collection.id)
        log.info("collection.deleted", collection_id=collection.id)
