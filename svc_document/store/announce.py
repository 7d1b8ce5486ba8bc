"""Tells other systems what became of documents, in the transaction that changed them: all of it, or nothing."""

from collections.abc import Collection, Iterator
from typing import Protocol

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from ragmesh.storage.events.outbox import publish
from ragmesh.storage.events.port import Event
from ragmesh.telemetry import traces
from svc_document.model import State
from svc_document.store.tables import documents, select_documents, to_document
from svc_document.wire import to_changed_event, to_dead_letter_event

AT_ONCE = 500


class Announcer(Protocol):
    """Hears of every change of a document's state, within its transaction."""

    async def __call__(self, connection: AsyncConnection, *document_ids: str) -> None:
        """These documents have changed."""
        ...


async def silent(connection: AsyncConnection, *document_ids: str) -> None:
    """For an event log that nobody else reads: what was announced there would stay for ever."""


async def announced(connection: AsyncConnection, *document_ids: str) -> None:
    """Publishes what the documents are now, and of those that were given up a dead letter too."""
    for first in range(0, len(document_ids), AT_ONCE):
        await _announce(connection, document_ids[first : first + AT_ONCE])


async def _announce(connection: AsyncConnection, document_ids: Collection[str]) -> None:
    rows = (await connection.execute(select_documents().where(documents.c.id.in_(document_ids)))).all()
    if rows:
        await publish(connection, *(event for row in rows for event in _events(row)))


def _events(row: Row[tuple[object, ...]]) -> Iterator[Event]:
    document, traceparent = to_document(row), traces.carrier().get("traceparent", "")
    yield to_changed_event(row.tenant, document, traceparent)
    if document.state is State.FAILED:
        yield to_dead_letter_event(row.tenant, document, traceparent)
