"""Re-embeddings in SQL: one row for each model, leased by the worker that carries it out."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import uuid_utils
from sqlalchemy import func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from ragmesh.errors import NotFound
from ragmesh.storage.database import Database
from ragmesh.storage.vectors.port import Edition
from svc_document.model import State
from svc_document.reembed import Job, JobLost, Kept, Reembedding, ReembedState
from svc_document.store.tables import collections, documents, reembeddings

OVER = (ReembedState.ACTIVE, ReembedState.FAILED)
AGAIN_AFTER = timedelta(seconds=10)  # that one is over is known everywhere by then: who names it wants it anew
INSERTS = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


class SqlReembeddings:
    """Implements `svc_document.reembed.Jobs` and `Reembeddings`."""

    def __init__(self, database: Database, *, lease_s: float) -> None:
        self._database = database
        self._duration = timedelta(seconds=lease_s)

    async def take(self, model: str) -> Job | None:
        now, token = datetime.now(UTC), str(uuid_utils.uuid7())
        fresh = {
            "state": ReembedState.RUNNING,
            "done_until": "",
            "chunks_done": 0,
            "reason": "",
            "created_at": now,
        }
        async with self._database.write() as connection:
            insert = INSERTS[connection.dialect.name](reembeddings)
            await connection.execute(insert.values(model=model, updated_at=now, **fresh).on_conflict_do_nothing())
            await connection.execute(
                update(reembeddings)
                .where(
                    reembeddings.c.model == model,
                    reembeddings.c.state.in_(OVER),
                    reembeddings.c.updated_at < now - AGAIN_AFTER,
                )
                .values(**fresh)
            )
            taken = await connection.execute(
                update(reembeddings)
                .where(
                    reembeddings.c.model == model,
                    reembeddings.c.state.not_in(OVER),
                    or_(reembeddings.c.lease_until.is_(None), reembeddings.c.lease_until <= now),
                )
                .values(token=token, lease_until=now + self._duration, updated_at=now)
                .returning(reembeddings.c.done_until, reembeddings.c.chunks_done)
            )
            row = taken.first()
        return Job(model, token, row.done_until, row.chunks_done) if row else None

    async def note(
        self, job: Job, state: ReembedState, *, after: str | None = None, chunks_done: int | None = None
    ) -> None:
        progress: dict[str, Any] = {"state": state, "lease_until": datetime.now(UTC) + self._duration}
        if after is not None:
            progress |= {"done_until": after, "chunks_done": chunks_done}
        await self._write(job, progress)

    async def end(self, job: Job, state: ReembedState, reason: str = "") -> None:
        await self._write(job, {"state": state, "reason": reason, "lease_until": None, "token": None})

    async def searchable(self, *, after: str, limit: int) -> Sequence[Kept]:
        async with self._database.read() as connection:
            rows = await connection.execute(
                select(
                    documents.c.id, documents.c.collection_id, documents.c.live_generation, documents.c.chunk_count
                )
                .join(collections)
                .where(
                    documents.c.id > after,
                    documents.c.live_generation.is_not(None),
                    documents.c.state != State.DELETING,
                    collections.c.deleted_at.is_(None),
                )
                .order_by(documents.c.id)
                .limit(limit)
            )
        return [Kept(Edition(row.collection_id, row.id, row.live_generation), row.chunk_count) for row in rows]

    async def is_searchable(self, edition: Edition) -> bool:
        async with self._database.read() as connection:
            row = await connection.execute(
                select(documents.c.id).where(
                    documents.c.id == edition.document_id,
                    documents.c.live_generation == edition.generation,
                    documents.c.state != State.DELETING,
                )
            )
            return row.first() is not None

    async def get(self, model: str) -> Reembedding:
        chosen = select(reembeddings).order_by(reembeddings.c.created_at.desc()).limit(1)
        total = select(func.coalesce(func.sum(collections.c.chunk_count), 0)).where(
            collections.c.deleted_at.is_(None)
        )
        async with self._database.read() as connection:
            row = (
                await connection.execute(chosen.where(reembeddings.c.model == model) if model else chosen)
            ).first()
            chunks = (await connection.execute(total)).scalar_one()
        if row is None:
            raise NotFound(f"nothing was re-embedded for {model}" if model else "nothing was re-embedded yet")
        return Reembedding(
            model=row.model,
            state=ReembedState(row.state),
            chunks_done=row.chunks_done,
            chunks_total=chunks,
            reason=row.reason,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )

    async def _write(self, job: Job, values: dict[str, Any]) -> None:
        async with self._database.write() as connection:
            changed = await connection.execute(
                update(reembeddings)
                .where(reembeddings.c.model == job.model, reembeddings.c.token == job.token)
                .values(updated_at=datetime.now(UTC), **values)
            )
            if not changed.rowcount:
                raise JobLost
