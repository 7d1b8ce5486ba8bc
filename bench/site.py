"""Where the edge's overhead is measured: before a whole mesh, and before a query service that costs nothing."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from bench.corpus import synthetic
from bench.edge import Edge
from bench.fleet import Make, cpu_of_mesh, cpu_s, started
from ragmesh import settings as configuration
from ragmesh.client import Client
from ragmesh.inference import build
from ragmesh.rpc.channels import open_channel
from ragmesh.rpc.discovery import SERVICES
from ragmesh.rpc.discovery.static import StaticDiscovery
from ragmesh.rpc.health import SERVING, ask_health
from ragmesh.up.plan import OWN, free_ports
from ragmesh.up.servers import LOOPBACK

READY_WITHIN_S = 60.0
POLL_S = 0.1
PATIENCE = {
    "RAGMESH_SEARCH_TARGET_S": "60",
    "RAGMESH_SEARCH_TIMEOUT_S": "60",
    "RAGMESH_FIRST_TOKEN_TARGET_S": "600",
}


@dataclass(frozen=True, slots=True)
class Site:
    """An edge, and the query service behind it."""

    name: str
    edge_url: str
    query_address: str
    cpu_s: Callable[[], Mapping[str, float]]  # of each process since it started


@asynccontextmanager
async def whole_mesh(folder: Path) -> AsyncIterator[Site]:
    """The embedded mesh with its real models, told to refuse nobody, and passages in the collection "bench"."""
    models = build.build(configuration.load(), lambda step, share: print(f"models {share:4.0%}: {step}"))
    async with started(Make("mesh"), models, folder / "mesh") as planned:
        async with Edge.at(planned.url) as edge, Client(planned.settings) as client:
            for key, value in PATIENCE.items():
                await client.set_config(key, value)
            await edge.add_all("bench", synthetic().passages)
        (query,) = StaticDiscovery.parse(planned.settings.discovery_url).addresses["query"]
        home = planned.settings.home
        yield Site("mesh", planned.url, query, lambda: cpu_of_mesh(home))


@asynccontextmanager
async def scripted(folder: Path) -> AsyncIterator[Site]:
    """The edge's process before the stand-in of `bench.scripted`: both real processes, and nothing else."""
    edge, query = (f"{LOOPBACK}:{port}" for port in free_ports(2))
    told = {
        "RAGMESH_DATA_DIR": str(folder / "scripted"),
        "RAGMESH_DISCOVERY_URL": "static:" + ",".join(f"{service}={query}" for service in SERVICES),
    }
    async with AsyncExitStack() as opened:
        service = await opened.enter_async_context(_process("bench.scripted", {**told, "RAGMESH_LISTEN": query}))
        gateway = await opened.enter_async_context(
            _process("gateway", {**told, **OWN["gateway"], "RAGMESH_PORT": edge.rpartition(":")[2]})
        )
        async with asyncio.timeout(READY_WITHIN_S):
            await _serving(query)
            await _answering(f"http://{edge}/healthz")
        pids = {"query": service.pid, "gateway": gateway.pid}
        yield Site("scripted", f"http://{edge}", query, lambda: {name: cpu_s(pid) for name, pid in pids.items()})


@asynccontextmanager
async def _process(module: str, told: Mapping[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module), env={**os.environ, **told}, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()


async def _serving(address: str) -> None:
    async with open_channel(configuration.load(), address) as channel:
        while await ask_health(channel, POLL_S) != SERVING:  # noqa: ASYNC110 nothing tells
            await asyncio.sleep(POLL_S)


async def _answering(url: str) -> None:
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(url) as response:
                    response.raise_for_status()
                    return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(POLL_S)
