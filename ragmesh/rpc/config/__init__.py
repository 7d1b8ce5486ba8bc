"""Settings that change while the mesh runs: kept in Consul, or in a file of the embedded mesh.

    async with following(settings) as live:
        live.now.search_timeout_s    # whatever it is at this moment

`port` states what a store of them promises, `live` is what processes read.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ragmesh.rpc.config.consul import ConsulConfig
from ragmesh.rpc.config.file import FileConfig
from ragmesh.rpc.config.live import Live
from ragmesh.rpc.config.port import ConfigStore, Snapshot
from ragmesh.rpc.discovery.consul import ConsulDiscovery
from ragmesh.settings import Settings

__all__ = ["ConfigStore", "Live", "Snapshot", "following", "open_config"]


def open_config(settings: Settings) -> ConfigStore:
    """Where this mesh keeps them: in Consul where it is the discovery, else in a file of the data folder."""
    if settings.discovery_url.startswith("consul"):
        return ConsulConfig(ConsulDiscovery.of(settings))
    return FileConfig(settings.home / "config.json")


@asynccontextmanager
async def following(settings: Settings) -> AsyncIterator[Live]:
    """The settings, kept up with their store inside the block."""
    live = Live(settings)
    async with live.following(open_config(settings)):
        yield live
