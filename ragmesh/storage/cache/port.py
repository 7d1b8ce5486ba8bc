"""What the mesh asks of a cache."""

from typing import Protocol


class Cache(Protocol):
    """Keeps bytes for a while, and may forget anything at any time.

    A cache that is away has forgotten everything: no method raises because of it.
    """

    async def get(self, key: str) -> bytes | None:
        """The value that was last set, or None."""
        ...

    async def set(self, key: str, value: bytes, ttl_s: float) -> None:
        """Keeps a value for `ttl_s` seconds at most."""
        ...
