"""Who processes which document, in SQL. Every write under a lease is fenced by the lease's token."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import uuid_utils
from sqlalchemy import ColumnElement, and_, case, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ragmesh.storage.database import Database
from svc_document.model import UNFINISHED, Failure, Lease, LeaseLost, Queued, Result, State
from svc_document.store.announce import Announcer, silent
from svc_document.store.collections import change, hold
from svc_document.store.tables import NO_ERROR, NO_LEASE, documents, from_failure


class SqlLeases:
    """Implements `svc_document.ports.Leases`."""

    def __init__(self, database: Database, *, lease_s: float, announce: Announcer = silent) -> None:
        self._database = database
        self._announce = announce
        self._duration = timedelta(seconds=lease_s)

    async def take(self, queued: Queued) -> Lease | None:
        now = datetime.now(UTC)
        token = str(uuid_utils.uuid7())
        async with self._database.write() as connection:
            rows = await connection.execute(
                update(documents)
                .where(
                    documents.c.id == queued.document_id,
                    documents.c.generation == queued.generation,
                    documents.c.state.in_(UNFINISHED),
                    or_(documents.c.lease_until.is_(None), documents.c.lease_until <= now),
                    or_(documents.c.next_attempt_at.is_(None), documents.c.next_attempt_at <= now),
                )
                .values(
                    state=State.PROCESSING,
                    lease_token=token,
                    lease_until=now + self._duration,
                    next_attempt_at=None,
                    attempts=documents.c.attempts + 1,
                    progress=0.0,
                    updated_at=now,
                )
                .returning(*LEASED)
            )
            row = rows.first()
            if not row:
                return None
            await self._announce(connection, row.id)
        return Lease(
            token=token,
            document_id=row.id,
            generation=row.generation,
            collection_id=row.collection_id,
            name=row.name,
            metadata=row.metadata,
            attempt=row.attempts,
        )

    async def renew(self, progress: Mapping[Lease, float]) -> set[Lease]:
        now = datetime.now(UTC)
        renewed = set[Lease]()
        async with self._database.write() as connection:
            for lease, done in sorted(progress.items(), key=lambda item: item[0].document_id):
                changed = await connection.execute(
                    update(documents)
                    .where(_held(lease))
                    .values(
                        lease_until=now + self._duration,
                        progress=done,
                        updated_at=case((documents.c.progress == done, documents.c.updated_at), else_=now),
                    )
                )
                if changed.rowcount:
                    renewed.add(lease)
        return renewed

    async def finish(self, lease: Lease, result: Result) -> None:
        async with self._database.write() as connection:
            await hold(connection, lease.collection_id)
            row = (await connection.execute(select(documents).where(_held(lease)).with_for_update())).first()
            if not row:
                raise LeaseLost
            await self._end(
                connection,
                lease,
                state=State.READY,
                live_generation=lease.generation,
                chunk_count=result.chunk_count,
                page_count=result.page_count,
                content_type=result.content_type,
                progress=1.0,
                **NO_ERROR,
            )
            await change(connection, lease.collection_id, chunks=result.chunk_count - row.chunk_count, revise=True)

    async def retry(self, lease: Lease, failure: Failure, delay_s: float) -> None:
        due = datetime.now(UTC) + timedelta(seconds=delay_s)
        async with self._database.write() as connection:
            await self._end(connection, lease, state=State.QUEUED, next_attempt_at=due, **from_failure(failure))

    async def fail(self, lease: Lease, failure: Failure) -> None:
        async with self._database.write() as connection:
            await self._end(connection, lease, state=State.FAILED, **from_failure(failure))

    async def release(self, lease: Lease) -> None:
        now = datetime.now(UTC)
        interrupted = documents.c.state == State.PROCESSING
        async with self._database.write() as connection:
            await connection.execute(
                update(documents)
                .where(documents.c.id == lease.document_id, documents.c.lease_token == lease.token)
                .values(
                    state=case((interrupted, State.QUEUED), else_=documents.c.state),
                    next_attempt_at=case((interrupted, now), else_=None),
                    attempts=documents.c.attempts - 1,
                    updated_at=now,
                    **NO_LEASE,
                )
            )
            await self._announce(connection, lease.document_id)

    async def oldest_kept(self, document_id: str) -> int | None:
        async with self._database.read() as connection:
            row = (
                await connection.execute(
                    select(documents.c.live_generation).where(
                        documents.c.id == document_id, documents.c.state != State.DELETING
                    )
                )
            ).first()
        return (row.live_generation or 1) if row else None

    async def _end(self, connection: AsyncConnection, lease: Lease, **values: Any) -> None:
        changed = await connection.execute(
            update(documents).where(_held(lease)).values(updated_at=datetime.now(UTC), **values, **NO_LEASE)
        )
        if not changed.rowcount:
            raise LeaseLost
        await self._announce(connection, lease.document_id)


LEASED = (
    documents.c.id,
    documents.c.generation,
    documents.c.collection_id,
    documents.c.name,
    documents.c.metadata,
    documents.c.attempts,
)


def _held(lease: Lease) -> ColumnElement[bool]:
    return and_(
        documents.c.id == lease.document_id,
        documents.c.lease_token == lease.token,
        documents.c.state == State.PROCESSING,
    )
