"""Who calls, and what they may do."""

import re
from dataclasses import dataclass
from enum import StrEnum

DEFAULT_TENANT = "default"
KEY_PREFIX = "rm_"  # an API key begins so: people and scanners of leaked secrets know it by that
TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


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


ALL = frozenset(Scope)
ANYBODY = Identity(tenant=DEFAULT_TENANT, scopes=ALL, subject="anybody")  # where the mesh is open
NOBODY = Identity(tenant="", scopes=frozenset(), subject="nobody")  # who has shown no credential yet


def the_mesh(tenant: str = DEFAULT_TENANT) -> Identity:
    """The mesh itself, at work for a tenant."""
    return Identity(tenant, ALL, "mesh")
