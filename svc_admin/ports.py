"""What the admin service needs of its database."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from svc_admin.model import Key


class KeyStore(Protocol):
    """Keeps API keys. What was added or revoked is seen by every read that begins later, in any process."""

    async def add(self, key: Key) -> None:
        """Keeps a key, durably."""
        ...

    async def get(self, key_id: str) -> Key | None:
        """A key, revoked or not."""
        ...

    async def page(self, tenant: str, *, before: str, limit: int) -> Sequence[Key]:
        """Newest first: those of a tenant (empty for all) with ids below `before` (empty for all)."""
        ...

    async def revoke(self, key_id: str, at: datetime) -> Key | None:
        """Ends a key, and returns it; one that has ended keeps its time."""
        ...
