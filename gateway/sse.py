"""Server-sent events: named events, heartbeats while nothing happens, and no buffering on the way."""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from aiohttp import web

from gateway.problem import dumps, unforeseen
from ragmesh.errors import MeshError

HEARTBEAT_S = 10.0
HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}
PING = b": ping\n\n"
Event = tuple[str, Any] | tuple[str, Any, str]  # name, JSON content, and what a reader names it by that comes back
EVENT_ID = re.compile(r"[0-9]{1,19}")


async def stream(request: web.Request, events: AsyncGenerator[Event, None]) -> web.StreamResponse:
    """Answers with events as they come, at the reader's pace.

    The first one is awaited before the status is sent, as long as a heartbeat: a request that fails at once has its
    true status. One that has nothing to tell is 204: a browser's EventSource does not come back then. A reader that
    leaves closes `events` at once.
    """
    async with aclosing(_written(events)) as blocks:
        if (first := await anext(blocks, None)) is None:
            return web.Response(status=204)
        response = web.StreamResponse(headers=HEADERS)
        await response.prepare(request)
        await response.write(first)
        try:
            async for block in blocks:
                await response.write(block)
        except ConnectionError:
            raise
        except Exception as error:  # noqa: BLE001 the status is sent: what fails from here on is an event
            failure = error if isinstance(error, MeshError) else unforeseen(request, error)
            await response.write(_failure(failure))
    await response.write_eof()
    return response


def last_event_id(request: web.Request) -> int:
    """The last event that the reader has seen; 0 if it has seen none, or comes from elsewhere."""
    given = request.headers.get("Last-Event-ID", "")
    return int(given) if EVENT_ID.fullmatch(given) else 0


async def _written(events: AsyncGenerator[Event, None]) -> AsyncGenerator[bytes, None]:
    """Each event as it goes over the wire, and a ping whenever none came for a while."""
    async with aclosing(events):
        upcoming = asyncio.ensure_future(anext(events, None))
        try:
            while True:
                await asyncio.wait((upcoming,), timeout=HEARTBEAT_S)
                if not upcoming.done():
                    yield PING
                    continue
                if (event := upcoming.result()) is None:
                    return
                yield _block(*event)
                upcoming = asyncio.ensure_future(anext(events, None))
        finally:
            upcoming.cancel()
            await asyncio.gather(upcoming, return_exceptions=True)


def _failure(error: MeshError) -> bytes:
    return _block("error", {"code": error.code, "message": error.message, "retriable": error.retriable})


def _block(name: str, content: Any, event_id: str = "") -> bytes:
    named = f"id: {event_id}\n" if event_id else ""
    return f"{named}event: {name}\ndata: {dumps(content)}\n\n".encode()
