"""Server-sent events: named events, heartbeats while nothing happens, and no buffering on the way."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from aiohttp import web

from gateway.problem import dumps
from ragmesh.errors import MeshError

HEARTBEAT_S = 10.0
HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}
Event = tuple[str, Any]  # name and JSON content


async def stream(request: web.Request, events: AsyncGenerator[Event, None]) -> web.StreamResponse:
    """Answers with events as they come, at the reader's pace.

    The first event is awaited before the status is sent, so that a request that fails at once has its true status.
    A reader that leaves closes `events` at once.
    """
    async with aclosing(events):
        return await _stream(request, events)


async def _stream(request: web.Request, events: AsyncGenerator[Event, None]) -> web.StreamResponse:
    first = await anext(events, None)
    response = web.StreamResponse(headers=HEADERS)
    await response.prepare(request)
    try:
        if first is not None:
            await _write(response, first)
            await _write_rest(response, events)
    except MeshError as error:  # the status is sent: what fails from here on is an event
        await _write(
            response, ("error", {"code": error.code, "message": error.message, "retriable": error.retriable})
        )
    await response.write_eof()
    return response


async def _write_rest(response: web.StreamResponse, events: AsyncGenerator[Event, None]) -> None:
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
