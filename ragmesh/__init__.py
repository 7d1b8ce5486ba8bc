"""A gRPC-first service mesh that answers questions over a team's own documents.

`ragmesh.Client` is the SDK, and `ragmesh.SyncClient` the same without async; what they take and return is here too.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ragmesh.client import Answer, AnswerOptions, Chat, Client, Sampling, SyncChat, SyncClient
    from ragmesh.errors import (
        Aborted,
        AlreadyExists,
        DeadlineExceeded,
        FailedPrecondition,
        Internal,
        InvalidArgument,
        MeshError,
        NotFound,
        PermissionDenied,
        ResourceExhausted,
        Unauthenticated,
        Unavailable,
        Unimplemented,
    )
    from ragmesh.v1 import (
        AnswerEvent,
        Chunk,
        Citation,
        Collection,
        Condition,
        Document,
        DocumentState,
        EmbedRole,
        Filter,
        FinishReason,
        IntRange,
        Scope,
        SearchMode,
        SearchResponse,
        SearchResult,
        Speaker,
        StringList,
        Turn,
        Usage,
    )

__all__ = [
    "Aborted",
    "AlreadyExists",
    "Answer",
    "AnswerEvent",
    "AnswerOptions",
    "Chat",
    "Chunk",
    "Citation",
    "Client",
    "Collection",
    "Condition",
    "DeadlineExceeded",
    "Document",
    "DocumentState",
    "EmbedRole",
    "FailedPrecondition",
    "Filter",
    "FinishReason",
    "IntRange",
    "Internal",
    "InvalidArgument",
    "MeshError",
    "NotFound",
    "PermissionDenied",
    "ResourceExhausted",
    "Sampling",
    "Scope",
    "SearchMode",
    "SearchResponse",
    "SearchResult",
    "Speaker",
    "StringList",
    "SyncChat",
    "SyncClient",
    "Turn",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "Usage",
]

_HOMES = ("ragmesh.errors", "ragmesh.client", "ragmesh.v1")  # the lightest first


def __getattr__(name: str) -> Any:
    """Imports what is asked for: the services import this package too, and do not need the SDK."""
    if name in __all__:
        for home in map(import_module, _HOMES):
            if hasattr(home, name):
                return getattr(home, name)
    raise AttributeError(f"module 'ragmesh' has no attribute {name!r}")
