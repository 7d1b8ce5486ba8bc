"""Which processes a mesh on one machine has, and what each is told."""

import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from ragmesh.rpc.discovery import SERVICES
from ragmesh.settings import PREFIX, Settings
from ragmesh.storage.vectors import lite

LOOPBACK = "127.0.0.1"
MODULES = {
    "document": ("svc_document", "api"),
    "worker": ("svc_document", "worker"),
    "query": ("svc_query",),
    "admin": ("svc_admin",),
    "gateway": ("gateway",),
}


@dataclass(frozen=True, slots=True)
class Program:
    """One process: its name, its command line, and its own environment on top of everybody's."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Plan:
    """A mesh: the settings that all of its processes and clients share, and its programs in starting order."""

    settings: Settings
    programs: tuple[Program, ...]

    @property
    def url(self) -> str:
        """Where the edge answers."""
        return f"http://{self.settings.host}:{self.settings.port}"


class PortTaken(RuntimeError):
    """The edge's port belongs to somebody else."""


def plan(settings: Settings) -> Plan:
    """Chooses ports for everything inside, and for the edge where it is 0. Raises PortTaken."""
    triton, metrics, milvus, *services = free_ports(3 + len(SERVICES))
    addresses = {name: f"{LOOPBACK}:{port}" for name, port in zip(SERVICES, services, strict=True)}
    shared = settings.model_copy(
        update={
            "data_dir": settings.home,
            "port": edge_port(settings),
            "triton_url": f"{LOOPBACK}:{triton}",
            "triton_metrics_url": f"http://{LOOPBACK}:{metrics}/metrics",
            "milvus_uri": f"http://{LOOPBACK}:{milvus}",
            "discovery_url": "static:" + ",".join(f"{name}={where}" for name, where in addresses.items()),
        }
    )
    return Plan(shared, tuple(_programs(shared, milvus, addresses)))


def _programs(settings: Settings, milvus_port: int, addresses: Mapping[str, str]) -> Iterator[Program]:
    common = environment(settings)
    yield Program("triton", (sys.executable, "-m", "ragmesh.inference.server"), common)
    yield Program(
        "milvus", tuple(lite.command(settings.home / "milvus", milvus_port)), {**common, **lite.ENVIRONMENT}
    )
    for name in SERVICES:
        module, *arguments = MODULES[name]
        listen = {f"{PREFIX}LISTEN": addresses[name]}
        yield Program(name, (sys.executable, "-m", module, *arguments), {**common, **listen})


def environment(settings: Settings) -> dict[str, str]:
    """What every process must agree on."""
    names = (
        "data_dir",
        "host",
        "port",
        "triton_url",
        "triton_metrics_url",
        "milvus_uri",
        "discovery_url",
        "embedder",
    )
    return {f"{PREFIX}{name.upper()}": str(getattr(settings, name)) for name in names}


def edge_port(settings: Settings) -> int:
    """The edge's port, or a free one for 0. Raises PortTaken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError:
            raise PortTaken(
                f"port {settings.port} is taken by another program: choose another with --port, or 0 for a free one"
            ) from None
        return probe.getsockname()[1]


def free_ports(count: int) -> list[int]:
    """Different free ports on loopback, all held until all are found."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return [each.getsockname()[1] for each in sockets]
