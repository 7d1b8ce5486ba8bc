"""API keys as the admin service has them."""

from dataclasses import dataclass, field
from datetime import datetime

from ragmesh.access import Scope


@dataclass(frozen=True, slots=True)
class NewKey:
    """What a key is to be."""

    tenant: str
    name: str
    scopes: frozenset[Scope]
    expires_at: datetime | None = None
    requests_per_minute: int = 0  # 0 for what the mesh allows each caller
    tokens_per_minute: int = 0  # likewise


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it is kept."""

    id: str
    tenant: str
    name: str
    scopes: frozenset[Scope]
    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)
    requests_per_minute: int
    tokens_per_minute: int
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
