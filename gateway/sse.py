"""Server-sent events: named events, heartbeats while nothing happens, and no buffering on the way."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from gateway.problem import dumps
from ragmesh.rpc.context import REQUEST_ID_KEY, request_id

HEARTBEAT_S = 10.0
HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}
Event = tuple[str, Any]  # name and JSON content


async def stream(request: web.Request, events: AsyncIterator[Event]) -> web.StreamResponse:
    """Answers with events as they come, at the reader's pace.

    The first event is awaited before the status is sent, so that a request that fails at once has its true status.
    """
    first = await anext(events, None)
    response = web.StreamResponse(headers={**HEADERS, REQUEST_ID_KEY: request_id()})
    await response.prepare(request)
    if first is not None:
        await _write(response, first)
        await _write_rest(response, events)
    await response.write_eof()
    return response


async def _write_rest(response: web.StreamResponse, events: AsyncIterator[Event]) -> None:
    upcoming = asyncio.ensure_future(anext(events, None))
    try:
        while True:
            done, _ = await asyncio.wait((upcoming,), timeout=HEARTBEAT_S)
            if not done:
                await response.write(b": ping\n\n")
                continue
            if (event := upcoming.result()) is None:
                return
            await _write(response, event)
            upcoming = asyncio.ensure_future(anext(events, None))
    finally:
        upcoming.cancel()
        await asyncio.gather(upcoming, return_exceptions=True)


async def _write(response: web.StreamResponse, event: Event) -> None:
    name, content = event
    await response.write(f"event: {name}\ndata: {dumps(content)}\n\n".encode())
