"""Collections in SQL."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import uuid_utils
from sqlalchemy import Select, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from ragmesh.errors import AlreadyExists, NotFound
from ragmesh.storage.database import Database, is_writing
from svc_document.model import DEFAULT_COLLECTION, Collection, State
from svc_document.store.announce import Announcer, silent
from svc_document.store.tables import collections, documents, to_collection


class SqlCollections:
    """Implements `svc_document.ports.Collections`."""

    def __init__(self, database: Database, announce: Announcer = silent) -> None:
        self._database = database
        self._announce = announce

    async def find(self, tenant: str, name: str) -> Collection:
        async with self._database.read() as connection:
            found = await find_present(connection, tenant, name)
        if found:
            return found
        if name == DEFAULT_COLLECTION:
            return await self._make_default(tenant)
        raise NotFound(f"there is no collection {name!r}: create it first, or list those there are")

    async def create(self, tenant: str, name: str) -> Collection:
        try:
            async with self._database.write() as connection:
                return await _insert(connection, tenant, name)
        except IntegrityError:
            raise AlreadyExists(f"a collection {name!r} exists already", field="name") from None

    async def page(self, tenant: str, *, after: str, limit: int) -> list[Collection]:
        await self.find(tenant, DEFAULT_COLLECTION)
        async with self._database.read() as connection:
            rows = await connection.execute(
                _present(tenant).where(collections.c.name > after).order_by(collections.c.name).limit(limit)
            )
            return [to_collection(row) for row in rows]

    async def hide(self, tenant: str, name: str) -> Collection:
        now = datetime.now(UTC)
        async with self._database.write() as connection:
            collection = await find_present(connection, tenant, name)
            if not collection:
                raise NotFound(f"there is no collection {name!r}")
            await connection.execute(
                update(collections)
                .where(collections.c.id == collection.id)
                .values(deleted_at=now, revision=collections.c.revision + 1, document_count=0, chunk_count=0)
            )
            hidden: Sequence[str] = (await connection.scalars(_present_documents(collection.id))).all()
            await connection.execute(
                update(documents).where(documents.c.id.in_(hidden)).values(state=State.DELETING, updated_at=now)
            )
            await self._announce(connection, *hidden)
        return collection

    async def _make_default(self, tenant: str) -> Collection:
        try:
            async with self._database.write() as connection:
                present = await find_present(connection, tenant, DEFAULT_COLLECTION)
                return present or await _insert(connection, tenant, DEFAULT_COLLECTION)
        except IntegrityError:  # where writers do not queue up, another one may have been faster
            return await self.find(tenant, DEFAULT_COLLECTION)


async def hold(connection: AsyncConnection, collection_id: str) -> None:
    """Keeps others from changing a collection until the transaction ends.

    Every transaction that locks both takes a collection before its documents, and documents by their ids: so none
    waits for another that waits for it.
    """
    await connection.execute(select(collections.c.id).where(collections.c.id == collection_id).with_for_update())


async def change(
    connection: AsyncConnection, collection_id: str, *, documents: int = 0, chunks: int = 0, revise: bool = False
) -> None:
    """Counts documents and chunks in or out, within the transaction that adds or removes them."""
    table = collections
    await connection.execute(
        update(table)
        .where(table.c.id == collection_id)
        .values(
            document_count=table.c.document_count + documents,
            chunk_count=table.c.chunk_count + chunks,
            revision=table.c.revision + int(revise),
        )
    )


async def find_present(connection: AsyncConnection, tenant: str, name: str) -> Collection | None:
    """A collection that is not deleted, held against changes where the transaction writes."""
    one = _present(tenant).where(collections.c.name == name)
    row = (await connection.execute(one.with_for_update() if is_writing(connection) else one)).first()
    return to_collection(row) if row else None


async def _insert(connection: AsyncConnection, tenant: str, name: str) -> Collection:
    collection = Collection(str(uuid_utils.uuid7()), tenant, name, 1, 0, 0, datetime.now(UTC))
    await connection.execute(insert(collections), asdict(collection))
    return collection


def _present_documents(collection_id: str) -> Select[Any]:
    present = documents.c.collection_id == collection_id, documents.c.state != State.DELETING
    return select(documents.c.id).where(*present).order_by(documents.c.id).with_for_update()


def _present(tenant: str) -> Select[Any]:
    return select(collections).where(collections.c.tenant == tenant, collections.c.deleted_at.is_(None))
