"""A gRPC-first service mesh that answers questions over a team's own documents.

`ragmesh.Client` is the SDK.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ragmesh.client import Client

__all__ = ["Client"]


def __getattr__(name: str) -> Any:
    """Imports the SDK when it is asked for: the services import this package too, and do not need it."""
    if name == "Client":
        from ragmesh.client import Client  # noqa: PLC0415 that is the point

        return Client
    raise AttributeError(f"module 'ragmesh' has no attribute {name!r}")
