"""Who calls, and what they may do."""

from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """What a credential allows."""

    READ = "read"  # search, ask, look at documents
    WRITE = "write"  # add, change and delete them
    ADMIN = "admin"  # see and change the mesh itself, for all tenants


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller, as a credential tells."""

    tenant: str
    scopes: frozenset[Scope]
    subject: str  # names the credential in logs and limits without telling it: the id of a key, or a token's `sub`
    requests_per_minute: int = 0  # 0 for what the mesh allows each caller
    tokens_per_minute: int = 0  # likewise


ANYBODY = Identity(tenant="default", scopes=frozenset(Scope), subject="anybody")
