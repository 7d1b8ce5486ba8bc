"""Server-sent events: named events, heartbeats while nothing happens, and no buffering on the way."""

import asyncio
from collections.abc import AsyncGenerator, Callable
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
Event = tuple[str, Any]  # name and JSON content


async def stream(request: web.Request, events: AsyncGenerator[Event, None]) -> web.StreamResponse:
    """Answers with named events as they come; what fails on the way is an `error` event."""
    return await respond(request, _named(events), failure=_failure)


async def respond(
    request: web.Request, blocks: AsyncGenerator[bytes, None], *, failure: Callable[[MeshError], bytes]
) -> web.StreamResponse:
    """Answers with blocks of a stream as they come, at the reader's pace; `failure` writes what goes wrong midway.

    The first one is awaited before the status is sent, as long as a heartbeat: a request that fails at once has its
    true status. A reader that leaves closes `blocks` at once.
    """
    async with aclosing(_kept_alive(blocks)) as written:
        first = await anext(written, PING)
        response = web.StreamResponse(headers=HEADERS)
        await response.prepare(request)
        await response.write(first)
        try:
            async for block in written:
                await response.write(block)
        except ConnectionError:
            raise
        except Exception as error:  # noqa: BLE001 the status is sent: what fails from here on is an event
            await response.write(failure(error if isinstance(error, MeshError) else unforeseen(request, error)))
    await response.write_eof()
    return response


async def _named(events: AsyncGenerator[Event, None]) -> AsyncGenerator[bytes, None]:
    """Each event as it goes over the wire."""
    async with aclosing(events):
        async for event in events:
            yield _block(*event)


async def _kept_alive(blocks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Each block, and a ping whenever none came for a while."""
    async with aclosing(blocks):
        upcoming = asyncio.ensure_future(anext(blocks, None))
        try:
            while True:
                await asyncio.wait((upcoming,), timeout=HEARTBEAT_S)
                if not upcoming.done():
                    yield PING
                    continue
                if (block := upcoming.result()) is None:
                    return
                yield block
                upcoming = asyncio.ensure_future(anext(blocks, None))
        finally:
            upcoming.cancel()
            await asyncio.gather(upcoming, return_exceptions=True)


def _failure(error: MeshError) -> bytes:
    return _block("error", {"code": error.code, "message": error.message, "retriable": error.retriable})


def _block(name: str, content: Any) -> bytes:
    return f"event: {name}\ndata: {dumps(content)}\n\n".encode()
