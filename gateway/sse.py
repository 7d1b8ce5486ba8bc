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
    """Answers with named events as they come; what fails on the way is an `error` event."""
    return await respond(request, _named(events), failure=_failure)


async def respond(
    request: web.Request, blocks: AsyncGenerator[bytes, None], *, failure: Callable[[MeshError], bytes]
) -> web.StreamResponse:
    """Answers with blocks of a stream as they come, at the reader's pace; `failure` writes what goes wrong midway.

    The first one is awaited before the status is sent, as long as a heartbeat: a request that fails at once has its
    true status. A reader that leaves closes `blocks` at once.
    """
    async with aclosing(blocks):
        first = asyncio.ensure_future(anext(blocks, None))
        try:
            await asyncio.wait((first,), timeout=HEARTBEAT_S)
            if first.done():
                first.result()
            response = web.StreamResponse(headers=HEADERS)
            await response.prepare(request)
            async with _kept_alive(response) as write:
                try:
                    await _write_all(first, blocks, write)
                except ConnectionError:
                    raise
                except Exception as error:  # noqa: BLE001 the status is sent: it is told in the stream
                    await write(failure(error if isinstance(error, MeshError) else unforeseen(request, error)))
        finally:
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
    await response.write_eof()
    return response


async def _named(events: AsyncGenerator[Event, None]) -> AsyncGenerator[bytes, None]:
    """Each event as it goes over the wire."""
    async with aclosing(events):
        async for event in events:
            yield _block(*event)


async def _write_all(first: Awaitable[bytes | None], blocks: AsyncGenerator[bytes, None], write: Write) -> None:
    if block := await first:
        await write(block)
    async for block in blocks:
        await write(block)


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
