"""Which processes a mesh on one machine has, and what each is told."""

import random
import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import psutil

from ragmesh.rpc.discovery import SERVICES
from ragmesh.settings import PREFIX, Settings
from ragmesh.storage.vectors import lite

LOOPBACK = "127.0.0.1"
PORTS = range(20_000, 32_768)  # below the ephemeral ones
MODULES = {
    "document": ("svc_document", "api"),
    "worker": ("svc_document", "worker"),
    "query": ("svc_query",),
    "admin": ("svc_admin",),
    "gateway": ("gateway",),
}


@dataclass(frozen=True, slots=True)
class Program:
    """One process."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]  # on top of everybody's
    address: str  # host:port that it listens on once it can work


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
    yield Program("triton", (sys.executable, "-m", "ragmesh.inference.server"), common, settings.triton_url)
    yield Program(
        "milvus",
        tuple(lite.command(settings.home / "milvus", milvus_port)),
        {**common, **lite.ENVIRONMENT},
        f"{LOOPBACK}:{milvus_port}",
    )
    for name in SERVICES:
        module, *arguments = MODULES[name]
        listen = {f"{PREFIX}LISTEN": addresses[name]}
        yield Program(name, (sys.executable, "-m", module, *arguments), {**common, **listen}, addresses[name])


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
        "models_dir",
    )
    values = {name: getattr(settings, name) for name in names}
    return {f"{PREFIX}{name.upper()}": str(value) for name, value in values.items() if value is not None}


def edge_port(settings: Settings) -> int:
    """The edge's port, or a free one for 0. Raises PortTaken."""
    if settings.port == 0:
        return free_ports(1, settings.host)[0]
    if not _is_free(settings.host, settings.port):
        raise PortTaken(
            f"port {settings.port} is taken by {_listener(settings.port)}:"
            " choose another with --port, or 0 for a free one"
        )
    return settings.port


def free_ports(count: int, host: str = LOOPBACK) -> list[int]:
    """Different free ports, none of which the kernel gives to an outgoing connection: a restart finds them free."""
    candidates = random.sample(PORTS, len(PORTS))
    return list(islice((port for port in candidates if _is_free(host, port)), count))


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def _listener(port: int) -> str:
    """The program that listens on a port, as far as this user may know."""
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
            return f"process {connection.pid} ({psutil.Process(connection.pid).name()})"
    return "another program"
