"""Events in the outbox table: `outbox:`, the embedded adapter, which consumers poll.

A claimed row has `visible_at` in the future and a claim of its own; acknowledging deletes it. Only the oldest row
of a key can be claimed, which keeps the order.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import uuid_utils
from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Select,
    String,
    Table,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from ragmesh.storage.database import Database, Instant
from ragmesh.storage.events.port import Event

CLAIMS_AT_ONCE = 8  # rows taken in one transaction, and at most held back by one consumer

metadata = MetaData()
outbox = Table(
    "outbox",
    metadata,
    Column("position", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("event_id", String(36), nullable=False),
    Column("topic", String(255), nullable=False),
    Column("key", String(255), nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("traceparent", String(64), nullable=False),
    Column("visible_at", Instant, nullable=False),
    Column("claim", String(36)),
    Index("outbox_key", "topic", "key", "position"),
    sqlite_autoincrement=True,  # a position is never used again
)


async def publish(connection: AsyncConnection, *events: Event) -> None:
    """Publishes events, if the transaction is committed."""
    now = datetime.now(UTC)
    await connection.execute(
        insert(outbox),
        [
            {
                "event_id": event.id,
                "topic": event.topic,
                "key": event.key,
                "payload": event.payload,
                "traceparent": event.traceparent,
                "visible_at": now,
            }
            for event in events
        ],
    )


@dataclass(frozen=True, slots=True)
class OutboxDelivery:
    """A claimed row."""

    event: Event
    position: int
    claim: str
    database: Database

    async def ack(self) -> None:
        await forget(self.database, [self])

    async def nack(self, delay_s: float) -> None:
        await _hand_back(self.database, [self], delay_s)


class OutboxConsumer:
    """Consumes the outbox table. Any number of processes may do so at once."""

    def __init__(self, database: Database, *, poll_s: float, visibility_s: float) -> None:
        self._database = database
        self._poll_s = poll_s
        self._visibility_s = visibility_s

    async def deliveries(self, topic: str) -> AsyncGenerator[OutboxDelivery]:
        while True:
            waiting = await claim(
                self._database, topic=topic, limit=CLAIMS_AT_ONCE, visibility_s=self._visibility_s
            )
            if not waiting:
                await asyncio.sleep(self._poll_s)
            try:
                while waiting:
                    yield waiting.pop(0)
            finally:
                await _hand_back(self._database, waiting, 0)


async def claim(database: Database, *, topic: str | None, limit: int, visibility_s: float) -> list[OutboxDelivery]:
    """Takes the oldest row of each key, of one topic or of all, for as long as `visibility_s`."""
    if not await _any_visible(database, topic):
        return []  # an idle consumer takes no write lock
    mark, now = str(uuid_utils.uuid7()), datetime.now(UTC)
    async with database.write() as connection:
        wanted = _claimable(topic, now).limit(limit).with_for_update(skip_locked=True)
        rows = (await connection.execute(wanted)).all()
        await connection.execute(
            update(outbox)
            .where(outbox.c.position.in_([row.position for row in rows]))
            .values(claim=mark, visible_at=now + timedelta(seconds=visibility_s))
        )
    return [
        OutboxDelivery(
            Event(row.event_id, row.topic, row.key, row.payload, row.traceparent), row.position, mark, database
        )
        for row in rows
    ]


async def forget(database: Database, delivered: Sequence[OutboxDelivery]) -> None:
    """Deletes the rows of what was delivered."""
    async with database.write() as connection:
        positions = [delivery.position for delivery in delivered]
        await connection.execute(delete(outbox).where(outbox.c.position.in_(positions)))


async def _any_visible(database: Database, topic: str | None) -> bool:
    async with database.read() as connection:
        found = await connection.execute(_claimable(topic, datetime.now(UTC)).limit(1))
        return found.first() is not None


def _claimable(topic: str | None, now: datetime) -> Select[Any]:
    earlier = outbox.alias()
    oldest = (
        select(func.min(earlier.c.position))
        .where(earlier.c.topic == outbox.c.topic, earlier.c.key == outbox.c.key)
        .scalar_subquery()
    )
    visible = select(outbox).where(outbox.c.visible_at <= now, outbox.c.position == oldest)
    return (visible.where(outbox.c.topic == topic) if topic else visible).order_by(outbox.c.position)


async def _hand_back(database: Database, held: Sequence[OutboxDelivery], delay_s: float) -> None:
    if not held:
        return
    async with database.write() as connection:
        await connection.execute(
            update(outbox)
            .where(
                outbox.c.position.in_([delivery.position for delivery in held]),
                outbox.c.claim == held[0].claim,
            )
            .values(claim=None, visible_at=datetime.now(UTC) + timedelta(seconds=delay_s))
        )
