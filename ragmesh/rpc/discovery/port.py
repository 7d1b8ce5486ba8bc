"""What callers and servers ask of discovery."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

SERVICES = ("document", "worker", "query", "admin", "gateway")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One instance of a service."""

    id: str  # new for each start of a process
    address: str  # host:port of its gRPC server
    zone: str = ""
    version: str = ""


class Discovery(Protocol):
    """Tells who serves, and tells others of this process."""

    def instances(self, service: str) -> AsyncGenerator[frozenset[Endpoint], None]:
        """The instances of a service that can serve: now, and again whenever they may have changed.

        Where the discovery is away, nothing comes until it is back: what was told last goes on to hold.
        """
        ...

    def announced(self, service: str, me: Endpoint) -> AbstractAsyncContextManager[None]:
        """Others find this instance inside the block. Leaving it returns once they had time to notice."""
        ...
