"""Where the services are. The embedded mesh knows from its settings; production asks Consul."""

from dataclasses import dataclass
from typing import Self

SERVICES = ("document", "worker", "query", "admin", "gateway")


@dataclass(frozen=True, slots=True)
class StaticDiscovery:
    """Fixed addresses, one for each service; a DNS name may stand for many instances."""

    addresses: dict[str, str]  # service to host:port

    @classmethod
    def parse(cls, url: str) -> Self:
        """Reads `static:document=host:port,query=host:port,…`. Raises ValueError on anything else."""
        scheme, _, listing = url.partition(":")
        if scheme != "static":
            raise ValueError(f"RAGMESH_DISCOVERY_URL is {url!r}: this version knows static:NAME=HOST:PORT,… only")
        pairs = [entry.partition("=") for entry in listing.split(",") if entry]
        if unknown := [name for name, _, address in pairs if name not in SERVICES or ":" not in address]:
            raise ValueError(f"RAGMESH_DISCOVERY_URL: can't read {unknown}; known are {', '.join(SERVICES)}")
        return cls({name: address for name, _, address in pairs})

    def address(self, service: str) -> str:
        """The address of a service. Raises ValueError where the settings don't name it."""
        try:
            return self.addresses[service]
        except KeyError:
            raise ValueError(f"RAGMESH_DISCOVERY_URL names no address for {service!r}") from None
