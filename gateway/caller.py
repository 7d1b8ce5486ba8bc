"""Whose request it is."""

from functools import lru_cache

from aiohttp import web
from aiohttp.typedefs import Handler
from yarl import URL

from gateway.access import NOTHING, needed
from gateway.calls import services
from gateway.cors import is_allowed
from ragmesh.access import ANYBODY, NOBODY, Identity, Scope
from ragmesh.errors import InvalidArgument, PermissionDenied
from ragmesh.rpc.auth.credentials import bearer
from ragmesh.rpc.auth.exposure import is_loopback
from ragmesh.rpc.auth.gate import require
from ragmesh.rpc.context import acting

CALLER = web.RequestKey("caller", Identity)
KEY_HEADER = "X-API-Key"
IN_ADDRESS = ("key", "api_key", "apikey", "access_token", "token")


@web.middleware
async def identified(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Finds out who calls and whether they may, before anything else is done for them."""
    _refuse_in_address(request)
    need = needed(request)
    request[CALLER] = identity = NOBODY if need == NOTHING else await _identity(request)
    if isinstance(need, Scope):
        require(identity, need)
    with acting(identity):
        return await handler(request)


def caller(request: web.Request) -> Identity:
    """Who calls."""
    return request[CALLER]


async def _identity(request: web.Request) -> Identity:
    credentials = services(request).credentials
    if credentials is None:
        _refuse_foreign(request)
        return ANYBODY
    return await credentials.identity(_credential(request))


def _refuse_foreign(request: web.Request) -> None:
    """An open mesh trusts this machine. A browser on it runs pages of others too, and does what they say."""
    if not _is_loopback(request.host):
        raise PermissionDenied(
            f"an open mesh answers to localhost only, not to {request.host[:64]!r}: a page elsewhere may have "
            "given that name to this machine; RAGMESH_AUTH=required lets others in, with keys"
        )
    origin = request.headers.get("Origin")
    if origin and origin.partition("://")[2] != request.host and not is_allowed(request):
        raise PermissionDenied(
            f"pages of {origin[:64]!r} may not call this mesh: RAGMESH_CORS_ORIGINS names those that may"
        )


@lru_cache(maxsize=1024)
def _is_loopback(named: str) -> bool:
    """Whether a Host header, with its port, names this machine. Raises InvalidArgument."""
    try:
        return is_loopback(URL.build(authority=named).host or "")
    except ValueError:
        raise InvalidArgument("the Host header has no host and port that can be read", field="Host") from None


def _credential(request: web.Request) -> str:
    """The one that a request presents; empty for none. Raises Unauthenticated, InvalidArgument."""
    authorized = bearer(request.headers.get("Authorization", ""))
    presented = {authorized, request.headers.get(KEY_HEADER, "").strip()} - {""}
    if len(presented) > 1:
        raise InvalidArgument(f"Authorization and {KEY_HEADER} name different credentials: send one of them")
    return presented.pop() if presented else ""


def _refuse_in_address(request: web.Request) -> None:
    if not request.query_string:
        return  # as most
    if named := next((name for name in IN_ADDRESS if name in request.query), None):
        raise InvalidArgument(
            f"a key in the address (?{named}=) ends in logs and histories, so it is not taken there: send it as "
            "`Authorization: Bearer KEY`, and revoke the one that was sent so",
            field=named,
        )
