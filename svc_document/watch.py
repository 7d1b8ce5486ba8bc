"""Following documents. All watchers of a process share one look at the database, however many there are."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Self

import structlog

from ragmesh.errors import MeshError
from svc_document import naming
from svc_document.model import TERMINAL, Document
from svc_document.ports import Documents

log = structlog.get_logger()

LOOK_EVERY_S = 0.2
IDS_AT_ONCE = 500

Latest = asyncio.Queue[Document | None]  # holds one: a slow watcher misses steps, never the last; None: it is gone


class Watchtower:
    """Tells watchers of changes, whichever process made them. An async context manager: it owns a task."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._watchers: defaultdict[str, set[Latest]] = defaultdict(set)
        self._someone = asyncio.Event()
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        self._looking = self._tasks.create_task(self._look_out())
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._looking.cancel()
        await self._tasks.__aexit__(None, None, None)

    async def watch(self, tenant: str, document_id: str) -> AsyncGenerator[Document]:
        """The document now and after each change, until it is READY, FAILED or being deleted. Raises NotFound."""
        latest: Latest = asyncio.Queue(1)
        self._watchers[document_id].add(latest)
        self._someone.set()
        try:
            seen = await self._documents.get(tenant, naming.document_id(document_id))
            yield seen
            while seen.state not in TERMINAL:
                document = await latest.get()
                if document is None:
                    return
                if document.updated_at > seen.updated_at:
                    seen = document
                    yield seen
        finally:
            self._leave(document_id, latest)

    def _leave(self, document_id: str, latest: Latest) -> None:
        self._watchers[document_id].discard(latest)
        if not self._watchers[document_id]:
            del self._watchers[document_id]
        if not self._watchers:
            self._someone.clear()

    async def _look_out(self) -> None:
        while True:
            await self._someone.wait()
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self._look()
            except MeshError as error:
                log.warning("watch.look_failed", error=error.message)

    async def _look(self) -> None:
        watched = list(self._watchers)
        for first in range(0, len(watched), IDS_AT_ONCE):
            ids = watched[first : first + IDS_AT_ONCE]
            present = {document.id: document for document in await self._documents.read_many(ids)}
            for document_id in ids:
                for latest in self._watchers.get(document_id, ()):
                    _put(latest, present.get(document_id))


def _put(latest: Latest, document: Document | None) -> None:
    with suppress(asyncio.QueueEmpty):
        latest.get_nowait()
    latest.put_nowait(document)
