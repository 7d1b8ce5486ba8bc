"""Documents that somebody follows: one call to the document service for each, however many readers it has.

A call is held open as long as a document is in the making, and a service handles so many at once; readers cost the
edge a connection each, and nobody else anything. A slow reader misses steps, never the last one.
"""

import asyncio
from collections.abc import AsyncGenerator

from aiohttp import web

from gateway.calls import Services
from ragmesh.errors import DeadlineExceeded, MeshError, ResourceExhausted, Unavailable
from ragmesh.rpc import context as calls
from ragmesh.rpc.errors import translated
from ragmesh.v1 import Document, WatchDocumentRequest

WATCH_S = 3600.0
FULL_RETRY_S = 5.0

Key = tuple[str, str]  # tenant and document


class Watches:
    """The documents that are followed now."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._watches: dict[Key, _Watch] = {}

    async def follow(self, document_id: str) -> AsyncGenerator[Document, None]:
        """The document now and after changes, until it is READY, FAILED or gone. Raises MeshError."""
        key = calls.tenant(), document_id
        until = asyncio.get_running_loop().time() + calls.time_left(WATCH_S)
        watch = self._watches.get(key) or self._begin(key)
        watch.readers += 1
        try:
            async for document in watch.changes(until):
                yield document
        except TimeoutError:
            raise DeadlineExceeded(f"{document_id} is not done in the time that you gave") from None
        finally:
            watch.readers -= 1
            if not watch.readers:
                await self._end(key, watch)

    def _begin(self, key: Key) -> "_Watch":
        most = self._services.settings.watches_max
        if len(self._watches) >= most:
            raise ResourceExhausted(
                f"this edge follows {most} documents at once, and that many are followed: ask for the document "
                "now and then instead",
                retry_after_s=FULL_RETRY_S,
            )
        watch = self._watches[key] = _Watch()
        watch.task = asyncio.create_task(self._read(key, watch))
        return watch

    async def _end(self, key: Key, watch: "_Watch") -> None:
        self._forget(key, watch)
        watch.task.cancel()
        await asyncio.gather(watch.task, return_exceptions=True)

    def _forget(self, key: Key, watch: "_Watch") -> None:
        """Whoever follows the document from here on hears of it anew."""
        if self._watches.get(key) is watch:
            del self._watches[key]

    async def _read(self, key: Key, watch: "_Watch") -> None:
        calls.forget_deadline()  # the first reader's is its own
        call = self._services.documents.watch_document(WatchDocumentRequest(id=key[1]), **calls.outgoing(WATCH_S))
        try:
            with translated():
                async for document in call:
                    watch.tell(document)
            watch.error = None
        except MeshError as error:
            watch.error = error
        finally:
            self._forget(key, watch)
            watch.finish()
            call.cancel()


class _Watch:
    """What is known of one document, for all who follow it."""

    task: asyncio.Task[None]

    def __init__(self) -> None:
        self.readers = 0
        self.error: MeshError | None = Unavailable("following the document broke off; ask again")
        self._latest: Document | None = None
        self._steps = 0
        self._is_over = False
        self._changed = asyncio.Event()

    async def changes(self, until: float) -> AsyncGenerator[Document, None]:
        """What is told from here on, the latest first. Raises TimeoutError at a time on the loop's clock."""
        seen = 0
        while True:
            if self._latest and self._steps > seen:
                seen = self._steps
                yield self._latest
            elif self._is_over:
                break
            else:
                async with asyncio.timeout_at(until):
                    await self._changed.wait()
        if self.error:
            raise type(self.error)(
                self.error.message, field=self.error.field, retry_after_s=self.error.retry_after_s
            )

    def tell(self, document: Document) -> None:
        self._latest = document
        self._steps += 1
        self._wake()

    def finish(self) -> None:
        self._is_over = True
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


WATCHES = web.AppKey("watches", Watches)


def watches(request: web.Request) -> Watches:
    """The documents that the application follows."""
    return request.app[WATCHES]
