"""Query parameters of lists."""

import re
from dataclasses import dataclass

from aiohttp import web

from ragmesh.errors import InvalidArgument
from ragmesh.v1 import DocumentState

PAGE_SIZE_MAX = 1000
STATES = {state.name: state for state in DocumentState if state}
DIGITS = re.compile(r"[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class Page:
    """Which page is wanted."""

    size: int  # 0 for the service's default
    token: str


def page_of(request: web.Request) -> Page:
    """The page that the query names. Raises InvalidArgument."""
    return Page(number(request, "page_size", PAGE_SIZE_MAX), request.query.get("page_token", ""))


def number(request: web.Request, name: str, most: int) -> int:
    """A parameter that is a whole number; 0 where it is not given. Raises InvalidArgument."""
    value = request.query.get(name, "0")
    if not DIGITS.fullmatch(value) or int(value) > most:
        raise InvalidArgument(f"{name} is {value[:64]!r}; it must be 1 to {most}", field=name)
    return int(value)


def state_of(request: web.Request) -> DocumentState:
    """The state that listed documents must be in; UNSPECIFIED for any. Raises InvalidArgument."""
    wanted = request.query.get("state")
    if wanted is None:
        return DocumentState.UNSPECIFIED
    if wanted not in STATES:
        raise InvalidArgument(
            f"state is {wanted[:64]!r}; it must be one of {', '.join(map(str, STATES))}", field="state"
        )
    return STATES[wanted]


def flag(request: web.Request, name: str) -> bool:
    """A parameter that is true or false. Raises InvalidArgument."""
    value = request.query.get(name, "false")
    if value not in {"true", "false"}:
        raise InvalidArgument(f"{name} is {value[:64]!r}; it must be true or false", field=name)
    return value == "true"
