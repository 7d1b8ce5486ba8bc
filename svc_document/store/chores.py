"""What a sweep needs to know of all documents, and the counts for operators, in SQL."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import and_, delete, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ragmesh.storage.database import Database
from ragmesh.storage.events.outbox import publish
from svc_document.model import UNFINISHED, Backlog, Document, Queued, State, Stats
from svc_document.store.announce import Announcer, silent
from svc_document.store.tables import NO_LEASE, collections, documents, select_documents, to_document, upload_keys
from svc_document.wire import to_event

AT_ONCE = 500


class SqlChores:
    """Implements `svc_document.ports.Chores`."""

    def __init__(self, database: Database, announce: Announcer = silent) -> None:
        self._database = database
        self._announce = announce

    async def requeue(self) -> int:
        now = datetime.now(UTC)
        due = or_(
            and_(documents.c.state == State.QUEUED, documents.c.next_attempt_at <= now),
            and_(documents.c.state == State.PROCESSING, documents.c.lease_until <= now),
        )
        async with self._database.read() as connection:
            if not (await connection.execute(select(documents.c.id).where(due).limit(1))).first():
                return 0
        async with self._database.write() as connection:
            waiting = select_documents().where(due).limit(AT_ONCE).with_for_update(skip_locked=True, of=documents)
            rows = (await connection.execute(waiting)).all()
            if not rows:
                return 0  # another worker was faster
            await connection.execute(
                update(documents)
                .where(documents.c.id.in_([row.id for row in rows]))
                .values(state=State.QUEUED, next_attempt_at=None, updated_at=now, **NO_LEASE)
            )
            await publish(connection, *(to_event(Queued(row.tenant, row.id, row.generation)) for row in rows))
            await self._announce(connection, *(row.id for row in rows))
        return len(rows)

    async def half_deleted(self, *, older_than_s: float) -> list[Document]:
        now = datetime.now(UTC)
        async with self._database.read() as connection:
            rows = await connection.execute(
                select_documents()
                .where(
                    documents.c.state == State.DELETING,
                    documents.c.updated_at <= now - timedelta(seconds=older_than_s),
                    or_(documents.c.lease_until.is_(None), documents.c.lease_until <= now),
                )
                .limit(AT_ONCE)
            )
            return [to_document(row) for row in rows]

    async def empty_deleted_collections(self) -> list[str]:
        has_documents = exists().where(documents.c.collection_id == collections.c.id)
        async with self._database.read() as connection:
            found = await connection.scalars(
                select(collections.c.id).where(collections.c.deleted_at.is_not(None), ~has_documents)
            )
            return list(found)

    async def erase_collection(self, collection_id: str) -> None:
        async with self._database.write() as connection:
            await connection.execute(delete(collections).where(collections.c.id == collection_id))

    async def forget_upload_keys(self, *, older_than_s: float) -> None:
        old = upload_keys.c.created_at <= datetime.now(UTC) - timedelta(seconds=older_than_s)
        async with self._database.read() as connection:
            if not (await connection.execute(select(upload_keys.c.key).where(old).limit(1))).first():
                return
        async with self._database.write() as connection:
            await connection.execute(delete(upload_keys).where(old))

    async def stats(self) -> Stats:
        async with self._database.read() as connection:
            states = await connection.execute(
                select(documents.c.state, func.count(), func.sum(documents.c.size_bytes)).group_by(
                    documents.c.state
                )
            )
            by_state = {State(state): (count, size) for state, count, size in states}
            count, chunks = (
                await connection.execute(
                    select(func.count(), func.coalesce(func.sum(collections.c.chunk_count), 0)).where(
                        collections.c.deleted_at.is_(None)
                    )
                )
            ).one()
            backlog = await _backlog(connection)
        return Stats(
            collections=count,
            documents={state: count for state, (count, _) in by_state.items()},
            chunks=int(chunks),
            stored_bytes=sum(int(size) for _, size in by_state.values()),
            backlog=backlog,
        )

    async def backlog(self) -> Backlog:
        async with self._database.read() as connection:
            return await _backlog(connection)


async def _backlog(connection: AsyncConnection) -> Backlog:
    count, oldest = (
        await connection.execute(
            select(func.count(), func.min(documents.c.queued_at)).where(documents.c.state.in_(UNFINISHED))
        )
    ).one()
    return Backlog(count, (datetime.now(UTC) - oldest).total_seconds() if oldest else 0.0)
