"""Where the services are. The embedded mesh knows from its settings (`static:`), production asks Consul.

discovery = discover(settings)
async with aclosing(discovery.instances("query")) as changes:
    async for endpoints in changes: ...
"""

from ragmesh.rpc.discovery.port import SERVICES, Discovery, Endpoint
from ragmesh.rpc.discovery.static import StaticDiscovery
from ragmesh.settings import Settings

__all__ = ["SERVICES", "Discovery", "Endpoint", "discover"]


def discover(settings: Settings) -> Discovery:
    """The discovery that `discovery_url` names. Raises ValueError where that can't be read."""
    scheme = settings.discovery_url.partition(":")[0]
    if scheme == "static":
        return StaticDiscovery.parse(settings.discovery_url)
    if scheme in {"consul", "consuls"}:
        # Its HTTP clients take as long to import as all else that a client needs.
        from ragmesh.rpc.discovery.consul import ConsulDiscovery  # noqa: PLC0415

        return ConsulDiscovery.of(settings)
    raise ValueError(
        f"RAGMESH_DISCOVERY_URL is {settings.discovery_url!r}:"
        " give static:NAME=HOST:PORT,… or consul://HOST:PORT (consuls:// for TLS)"
    )
