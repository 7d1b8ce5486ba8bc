"""Scopes on the wire."""

from collections.abc import Iterable

from ragmesh import v1
from ragmesh.access import Scope

MESSAGES = {Scope.READ: v1.Scope.READ, Scope.WRITE: v1.Scope.WRITE, Scope.ADMIN: v1.Scope.ADMIN}


def to_messages(scopes: Iterable[Scope]) -> list[v1.Scope]:
    """As a message has them, in an order of their own."""
    return [MESSAGES[scope] for scope in Scope if scope in scopes]


def from_messages(messages: Iterable[v1.Scope]) -> frozenset[Scope]:
    """Those that are known here: a later version may have others."""
    return frozenset(scope for scope, message in MESSAGES.items() if message in messages)
