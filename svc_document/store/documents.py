"""Documents in SQL, as their owners see and change them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, Select, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from ragmesh.errors import Aborted, NotFound
from ragmesh.storage.database import Database, is_writing
from ragmesh.storage.events.outbox import publish
from ragmesh.telemetry import traces
from svc_document.model import (
    UNFINISHED,
    Collection,
    Document,
    LiveDocument,
    NewDocument,
    Queued,
    State,
)
from svc_document.store.announce import Announcer, silent
from svc_document.store.collections import change, find_present, hold
from svc_document.store.keys import find_first, remember
from svc_document.store.tables import NO_ERROR, NO_LEASE, collections, documents, select_documents, to_document
from svc_document.wire import to_event


class SqlDocuments:
    """Implements `svc_document.ports.Documents`."""

    def __init__(self, database: Database, announce: Announcer = silent) -> None:
        self._database = database
        self._announce = announce

    async def add(self, collection: Collection, new: NewDocument) -> Document:
        try:
            return await self._add(collection, new)
        except IntegrityError:  # where writers do not queue up, an equal upload may have been faster
            pass
        try:
            return await self._add(collection, new)
        except IntegrityError as error:
            raise Aborted("an equal document was uploaded and deleted at the same moment; try again") from error

    async def _add(self, collection: Collection, new: NewDocument) -> Document:
        async with self._database.write() as connection:
            if new.idempotency_key and (first := await find_first(connection, collection, new)):
                return first
            document = await _find_equal(connection, collection, new)
            if not document:
                document = await _accept(connection, collection, new)
                await self._announce(connection, document.id)
            if new.idempotency_key:
                await remember(connection, collection, new, document)
            return document

    async def get(self, tenant: str, document_id: str) -> Document:
        async with self._database.read() as connection:
            return to_document(await _present(connection, tenant, document_id))

    async def page(
        self, collection: Collection, *, state: State | None, before: str | None, limit: int
    ) -> list[Document]:
        wanted = select_documents().where(
            documents.c.collection_id == collection.id,
            documents.c.state == state if state else documents.c.state != State.DELETING,
        )
        return await self._newest(wanted, before, limit)

    async def read_many(self, document_ids: Sequence[str]) -> list[Document]:
        async with self._database.read() as connection:
            rows = await connection.execute(select_documents().where(documents.c.id.in_(document_ids)))
            return [to_document(row) for row in rows]

    async def resolve(
        self, tenant: str, name: str, document_ids: Sequence[str]
    ) -> tuple[Collection, list[LiveDocument]] | None:
        async with self._database.read() as connection:
            collection = await find_present(connection, tenant, name)
            if not collection:
                return None
            rows = await connection.execute(
                select(documents.c.id, documents.c.live_generation).where(
                    documents.c.id.in_(document_ids),
                    documents.c.collection_id == collection.id,
                    documents.c.live_generation.is_not(None),
                    documents.c.state != State.DELETING,
                )
            )
            return collection, [LiveDocument(row.id, row.live_generation) for row in rows]

    async def reprocess(self, tenant: str, document_id: str) -> Document:
        async with self._database.write() as connection:
            row = await _present(connection, tenant, document_id)
            if row.state in UNFINISHED:
                return to_document(row)
            await _begin_anew(connection, row)
            await self._announce(connection, document_id)
            return to_document(await _present(connection, tenant, document_id))

    async def failed(self, *, before: str | None, limit: int) -> list[Document]:
        return await self._newest(select_documents().where(documents.c.state == State.FAILED), before, limit)

    async def retry_failed(self, document_ids: Sequence[str], *, limit: int) -> int:
        wanted = select_documents().where(documents.c.state == State.FAILED)
        if document_ids:
            wanted = wanted.where(documents.c.id.in_(document_ids))
        async with self._database.write() as connection:
            rows = (
                await connection.execute(wanted.limit(limit).with_for_update(skip_locked=True, of=documents))
            ).all()
            for row in rows:
                await _begin_anew(connection, row)
            await self._announce(connection, *(row.id for row in rows))
        return len(rows)

    async def hide(self, tenant: str, document_id: str) -> Document:
        async with self._database.write() as connection:
            await hold(connection, await _collection_of(connection, document_id))
            row = await _owned(connection, tenant, document_id)
            if row.state != State.DELETING:
                await change(connection, row.collection_id, documents=-1, chunks=-row.chunk_count, revise=True)
                await connection.execute(
                    update(documents)
                    .where(documents.c.id == document_id)
                    .values(state=State.DELETING, updated_at=datetime.now(UTC))
                )
                await self._announce(connection, document_id)
            return to_document(row)

    async def erase(self, document_id: str) -> None:
        free = or_(documents.c.lease_until.is_(None), documents.c.lease_until <= datetime.now(UTC))
        async with self._database.write() as connection:
            await connection.execute(
                delete(documents).where(documents.c.id == document_id, documents.c.state == State.DELETING, free)
            )

    async def unknown(self, document_ids: Sequence[str]) -> set[str]:
        async with self._database.read() as connection:
            known = await connection.scalars(select(documents.c.id).where(documents.c.id.in_(document_ids)))
            return set(document_ids) - set(known)

    async def _newest(self, wanted: Select[Any], before: str | None, limit: int) -> list[Document]:
        if before:
            wanted = wanted.where(documents.c.id < before)
        async with self._database.read() as connection:
            rows = await connection.execute(wanted.order_by(documents.c.id.desc()).limit(limit))
            return [to_document(row) for row in rows]


async def _accept(connection: AsyncConnection, collection: Collection, new: NewDocument) -> Document:
    present = await find_present(connection, collection.tenant, collection.name)
    if not present or present.id != collection.id:
        raise NotFound(f"the collection {collection.name!r} was deleted meanwhile")
    now = datetime.now(UTC)
    await connection.execute(
        insert(documents),
        {
            "id": new.id,
            "collection_id": collection.id,
            "name": new.name,
            "content_type": "",
            "size_bytes": new.size_bytes,
            "sha256": new.sha256,
            "metadata": dict(new.metadata),
            "state": State.QUEUED,
            "generation": 1,
            "chunk_count": 0,
            "page_count": 0,
            "progress": 0.0,
            "attempts": 0,
            "queued_at": now,
            "created_at": now,
            "updated_at": now,
        },
    )
    await change(connection, collection.id, documents=1)
    await _queue(connection, collection.tenant, new.id, generation=1)
    return to_document(await _present(connection, collection.tenant, new.id))


async def _begin_anew(connection: AsyncConnection, row: Row[Any]) -> None:
    """Queues the next generation of a document that nobody works on."""
    now = datetime.now(UTC)
    await connection.execute(
        update(documents)
        .where(documents.c.id == row.id)
        .values(
            generation=row.generation + 1,
            state=State.QUEUED,
            progress=0.0,
            attempts=0,
            next_attempt_at=None,
            queued_at=now,
            updated_at=now,
            **NO_ERROR,
            **NO_LEASE,
        )
    )
    await _queue(connection, row.tenant, row.id, row.generation + 1)


async def _queue(connection: AsyncConnection, tenant: str, document_id: str, generation: int) -> None:
    traceparent = traces.carrier().get("traceparent", "")
    await publish(connection, to_event(Queued(tenant, document_id, generation, traceparent)))


async def _find_equal(connection: AsyncConnection, collection: Collection, new: NewDocument) -> Document | None:
    equal = select_documents().where(
        documents.c.collection_id == collection.id,
        documents.c.sha256 == new.sha256,
        documents.c.name == new.name,
        documents.c.state != State.DELETING,
    )
    row = (await connection.execute(equal)).first()
    return to_document(row) if row else None


async def _collection_of(connection: AsyncConnection, document_id: str) -> str:
    """The id of a document's collection, which never changes."""
    found = await connection.scalar(select(documents.c.collection_id).where(documents.c.id == document_id))
    if not found:
        raise _not_found(document_id)
    return found


async def _present(connection: AsyncConnection, tenant: str, document_id: str) -> Row[Any]:
    row = await _owned(connection, tenant, document_id)
    if row.state == State.DELETING:
        raise _not_found(document_id)
    return row


async def _owned(connection: AsyncConnection, tenant: str, document_id: str) -> Row[Any]:
    """A tenant's document, held against changes where the transaction writes."""
    one = select_documents().where(documents.c.id == document_id, collections.c.tenant == tenant)
    if is_writing(connection):
        one = one.with_for_update(of=documents)
    row = (await connection.execute(one)).first()
    if not row:
        raise _not_found(document_id)
    return row


def _not_found(document_id: str) -> NotFound:
    return NotFound(f"there is no document {document_id!r}; it may have been deleted")
