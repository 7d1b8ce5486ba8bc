"""What each route needs of its caller: said where the route is, by `Operation.needs` or `for_everybody`."""

from collections.abc import Callable
from typing import Any, Literal, TypeVar

from aiohttp import web

from ragmesh.access import Scope

Handler = TypeVar("Handler", bound=Callable[..., Any])
Need = Scope | Literal["nothing"]

NOTHING: Need = "nothing"  # not even a credential
NEEDS = "__needs__"


def for_everybody(handler: Handler) -> Handler:
    """Opens a page that is not in the API's description to callers without a credential."""
    setattr(handler, NEEDS, NOTHING)
    return handler


def declared(route: web.AbstractRoute) -> Need | None:
    """What a route says that it needs; None where nobody has said."""
    return getattr(route.handler, NEEDS, None)


def needed(request: web.Request) -> Need:
    """What a request needs. Where nobody has said so, an admin's credential."""
    if request.match_info.http_exception is not None:
        return NOTHING  # there is no such route, and whoever asks may know
    return declared(request.match_info.route) or Scope.ADMIN
