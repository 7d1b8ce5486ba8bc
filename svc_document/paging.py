"""Pages of lists: where one ends is told to the caller as a token that is good for that list alone."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from ragmesh.errors import InvalidArgument

DEFAULT_SIZE = 100
MAX_SIZE = 1000

Entry = TypeVar("Entry")


@dataclass(frozen=True, slots=True)
class Page(Generic[Entry]):
    """Some entries of a list, and the token for what follows; empty on the last page."""

    entries: Sequence[Entry]
    next_token: str


def size(asked: int) -> int:
    """How many entries a page has; 0 asks for the default."""
    if not 0 <= asked <= MAX_SIZE:
        raise InvalidArgument(
            f"page_size is {asked}: use 1 to {MAX_SIZE}, or 0 for {DEFAULT_SIZE}", field="page_size"
        )
    return asked or DEFAULT_SIZE


def cut(entries: Sequence[Entry], limit: int, scope: Sequence[str], key: Callable[[Entry], str]) -> Page[Entry]:
    """A page out of what was found when one more than `limit` was asked for; `key` is what the list goes by."""
    more = len(entries) > limit
    return Page(entries[:limit], token(scope, key(entries[limit - 1])) if more else "")


def token(scope: Sequence[str], last: str) -> str:
    """Says that a page of a list, which `scope` names, ended with the entry `last`."""
    return base64.urlsafe_b64encode(json.dumps([*scope, last]).encode()).decode()


def read(text: str, scope: Sequence[str]) -> str:
    """The entry that the page before ended with; empty for the first page. Raises InvalidArgument."""
    if not text:
        return ""
    try:
        parts = json.loads(base64.b64decode(text.encode(), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        parts = None
    if not isinstance(parts, list) or parts[:-1] != [*scope] or not isinstance(parts[-1], str):
        raise InvalidArgument(
            "page_token is not one of this list: pass next_page_token of the page before, "
            "with the same collection and state, or none to begin anew",
            field="page_token",
        )
    return parts[-1]
