"""Discovery by settings: the addresses never change. Whether they answer is for the caller to find out."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Self

from ragmesh.rpc.discovery.port import SERVICES, Endpoint


@dataclass(frozen=True, slots=True)
class StaticDiscovery:
    """Fixed addresses of each service."""

    addresses: Mapping[str, tuple[str, ...]]  # service to host:port of each instance

    @classmethod
    def parse(cls, url: str) -> Self:
        """Reads `static:document=host:port,query=host:port,query=host:port,…`. Raises ValueError."""
        pairs = [entry.partition("=") for entry in url.removeprefix("static:").split(",") if entry]
        if unknown := [name for name, _, address in pairs if name not in SERVICES or ":" not in address]:
            raise ValueError(f"RAGMESH_DISCOVERY_URL: can't read {unknown}; known are {', '.join(SERVICES)}")
        return cls({name: tuple(address for other, _, address in pairs if other == name) for name, _, _ in pairs})

    async def instances(self, service: str) -> AsyncGenerator[frozenset[Endpoint], None]:
        """Those of the settings. Raises ValueError where they name none."""
        if service not in self.addresses:
            raise ValueError(f"RAGMESH_DISCOVERY_URL names no address for {service!r}")
        yield frozenset(Endpoint(address, address) for address in self.addresses[service])
        await asyncio.Event().wait()

    def announced(self, service: str, me: Endpoint) -> AbstractAsyncContextManager[None]:
        """Nobody needs to be told."""
        return nullcontext()
