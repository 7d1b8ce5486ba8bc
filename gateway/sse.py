"""Server-sent events: named events, heartbeats while nothing happens, and no buffering on the way."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
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
Write = Callable[[bytes], Awaitable[None]]


async def stream(request: web.Request, events: AsyncGenerator[Event, None]) -> web.StreamResponse:
    """Answers with events as they come, at the reader's pace.

    The first one is awaited before the status is sent, as long as a heartbeat: a request that fails at once has its
    true status. A reader that leaves closes `events` at once.
    """
    async with aclosing(events):
        first = asyncio.ensure_future(anext(events, None))
        try:
            await asyncio.wait((first,), timeout=HEARTBEAT_S)
            if first.done():
                first.result()
            response = web.StreamResponse(headers=HEADERS)
            await response.prepare(request)
            async with _kept_alive(response) as write:
                await _write_all(request, first, events, write)
        finally:
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
    await response.write_eof()
    return response


async def _write_all(
    request: web.Request, first: Awaitable[Event | None], events: AsyncGenerator[Event, None], write: Write
) -> None:
    """Writes each event. What fails is an event too: the status is sent."""
    try:
        if event := await first:
            await write(_block(*event))
        async for event in events:
            await write(_block(*event))
    except ConnectionError:
        raise
    except Exception as error:  # noqa: BLE001 it is told as an event
        failure = error if isinstance(error, MeshError) else unforeseen(request, error)
        await write(_failure(failure))


@asynccontextmanager
async def _kept_alive(response: web.StreamResponse) -> AsyncIterator[Write]:
    """What writes to a response; a ping is written whenever it was not used for a heartbeat.

    A task looks twice a heartbeat whether it was: a timer for each event would cost as much as the event.
    """
    quiet = True

    async def write(block: bytes) -> None:
        nonlocal quiet
        quiet = False
        await response.write(block)

    async def ping() -> None:
        nonlocal quiet
        with suppress(ConnectionError):  # the reader has left: its request is about to be cancelled
            while True:
                if quiet:
                    await write(PING)
                else:
                    quiet = True
                await asyncio.sleep(HEARTBEAT_S / 2)

    pinging = asyncio.create_task(ping())
    try:
        yield write
    finally:
        pinging.cancel()
        await asyncio.gather(pinging, return_exceptions=True)


def _failure(error: MeshError) -> bytes:
    return _block("error", {"code": error.code, "message": error.message, "retriable": error.retriable})


def _block(name: str, content: Any) -> bytes:
    return f"event: {name}\ndata: {dumps(content)}\n\n".encode()
