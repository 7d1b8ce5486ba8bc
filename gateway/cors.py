"""Which pages of other origins a browser lets read the edge: none, unless `cors_origins` names them."""

from functools import lru_cache

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.calls import services

ANY = "*"
METHODS = "DELETE, GET, HEAD, PATCH, POST, PUT"
MAY_SEND = (
    "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, traceparent, X-API-Key, X-Request-Id, "
    "X-Request-Timeout-Ms"
)
MAY_READ = (
    "Content-Disposition, Retry-After, X-Request-Id, "
    "X-RateLimit-Limit-Requests, X-RateLimit-Remaining-Requests, X-RateLimit-Reset-Requests, "
    "X-RateLimit-Limit-Tokens, X-RateLimit-Remaining-Tokens, X-RateLimit-Reset-Tokens"
)
PREFLIGHT_S = 600  # how long a browser need not ask again


@web.middleware
async def preflights(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answers a browser that asks whether a page may call; it asks without a credential."""
    if request.method != "OPTIONS" or "Access-Control-Request-Method" not in request.headers:
        return await handler(request)
    if not is_allowed(request):
        return await handler(request)
    return web.Response(
        status=204,
        headers={
            "Access-Control-Allow-Methods": METHODS,
            "Access-Control-Allow-Headers": MAY_SEND,
            "Access-Control-Max-Age": str(PREFLIGHT_S),
        },
    )


def is_allowed(request: web.Request) -> bool:
    """Whether the page that calls is of an origin that may. Credentials are never cookies here."""
    if (origin := request.headers.get("Origin")) is None:
        return False  # as most: asked first, for every request comes here
    allowed = origins(services(request).settings.cors_origins)
    return ANY in allowed or origin in allowed


@lru_cache(maxsize=16)
def origins(listed: str) -> frozenset[str]:
    """The origins that a setting lists."""
    return frozenset(each.strip().rstrip("/") for each in listed.split(",") if each.strip())
