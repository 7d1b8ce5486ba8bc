"""Bodies that come too slowly: who sends a byte now and then holds a connection and a call for nothing."""

import asyncio

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.calls import services

SLOW_LOOKS_MAX = 4  # in a row: a pause is nobody's fault


class SlowBody(web.RequestPayloadError):
    """A body that did not come at the least pace."""


@web.middleware
async def paced(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Ends the reading of a body that comes too slowly. One that is there already is not watched."""
    if request.content.is_eof():
        return await handler(request)
    watching = asyncio.create_task(_watch(request))
    try:
        return await handler(request)
    finally:
        watching.cancel()


async def _watch(request: web.Request) -> None:
    """Compares what comes with what should, except while the edge itself does not read on."""
    body, seen, slow = request.content, 0, 0
    while slow < SLOW_LOOKS_MAX:
        look_every_s = services(request).settings.body_slow_s / SLOW_LOOKS_MAX
        await asyncio.sleep(look_every_s)
        if body.is_eof():
            return
        least = services(request).settings.body_pace_bytes * look_every_s
        is_slow = _is_reading(request) and body.total_bytes - seen < least
        seen, slow = body.total_bytes, slow + 1 if is_slow else 0
    settings = services(request).settings
    body.set_exception(
        SlowBody(
            f"less than {settings.body_pace_bytes} bytes in a second came for {settings.body_slow_s:g} seconds; "
            "send it again, faster"
        )
    )


def _is_reading(request: web.Request) -> bool:
    return request.transport is not None and request.transport.is_reading()
