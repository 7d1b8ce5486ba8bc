"""Whose request it is."""

from aiohttp import web
from aiohttp.typedefs import Handler

from ragmesh.access import ANYBODY, Identity

CALLER = web.RequestKey("caller", Identity)


@web.middleware
async def identified(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Finds out who calls, before anything else is done for them."""
    request[CALLER] = ANYBODY
    return await handler(request)


def caller(request: web.Request) -> Identity:
    """Who calls."""
    return request[CALLER]
