"""Which processes a mesh on one machine has, and what each is told."""

import random
import signal
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import psutil
from pydantic import SecretStr

from ragmesh.rpc.discovery import SERVICES
from ragmesh.settings import PREFIX, Settings
from ragmesh.up import servers
from ragmesh.up.servers import LOOPBACK, Server

PORTS = range(20_000, 32_768)  # below the ephemeral ones
MODULES = {
    "document": ("svc_document", "api"),
    "worker": ("svc_document", "worker"),
    "query": ("svc_query",),
    "admin": ("svc_admin",),
    "gateway": ("gateway",),
}
OWN = {"gateway": {"PYTHONMALLOC": "malloc"}}  # gives back what a crowd of connections took
ALONE = "gateway"  # it listens on the edge's own port
REPLICAS_MAX = 32  # of a service

Replicas = Mapping[str, int]  # instances by service; one of each that is not named


@dataclass(frozen=True, slots=True)
class Program:
    """One process."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]  # on top of everybody's
    address: str  # host:port that it listens on once it can work
    is_backing: bool = False  # others lean on it: it ends after them
    stop_signal: signal.Signals = signal.SIGTERM


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


class BadReplicas(ValueError):
    """A number of instances that can't be."""


def plan(settings: Settings, replicas: Replicas | None = None) -> Plan:
    """Chooses ports for everything inside, and for the edge where it is 0. Raises PortTaken, BadReplicas."""
    instances = list(_instances(replicas or {}))
    backing = list(servers.needed(settings))
    metrics, *ports = free_ports(1 + len(backing) + len(instances))
    behind = dict(zip(backing, ports[: len(backing)], strict=True))
    listening = {
        name: (service, f"{LOOPBACK}:{port}")
        for (name, service), port in zip(instances, ports[len(backing) :], strict=True)
    }
    shared = _shared(settings, behind, metrics).model_copy(update=_static_discovery(settings, listening.values()))
    return Plan(shared, (*_backing(shared, behind), *_services(shared, listening)))


def _instances(replicas: Replicas) -> Iterator[tuple[str, str]]:
    """The name and the service of each instance."""
    if unknown := replicas.keys() - set(SERVICES):
        raise BadReplicas(f"there is no service {', '.join(sorted(unknown))}: choose from {', '.join(SERVICES)}")
    if replicas.get(ALONE, 1) != 1:
        raise BadReplicas(f"one {ALONE} listens on the edge's port: run more of them behind a load balancer")
    for service in SERVICES:
        count = replicas.get(service, 1)
        if count < 1:
            raise BadReplicas(f"{service}={count}: the mesh needs at least one of each service")
        if count > REPLICAS_MAX:
            raise BadReplicas(f"{service}={count}: one machine runs at most {REPLICAS_MAX} of a service")
        for number in range(1, count + 1):
            yield (service if number == 1 else f"{service}-{number}"), service


def _shared(settings: Settings, behind: Mapping[Server, int], metrics: int) -> Settings:
    """The settings of every process: with the addresses of what is started for it."""
    addresses = {server.setting: server.address.format(port=port) for server, port in behind.items()}
    return settings.model_copy(
        update={
            "data_dir": settings.home,
            "port": edge_port(settings),
            "triton_metrics_url": f"http://{LOOPBACK}:{metrics}/metrics",
            **{name: _like(getattr(settings, name), address) for name, address in addresses.items()},
        }
    )


def _static_discovery(settings: Settings, listening: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The embedded mesh tells every process of all instances; a mesh with Consul lets them find each other."""
    if settings.profile == "mesh":
        return {}
    return {"discovery_url": "static:" + ",".join(f"{service}={address}" for service, address in listening)}


def _backing(settings: Settings, behind: Mapping[Server, int]) -> Iterator[Program]:
    for server, port in behind.items():
        command, own = servers.command(server, settings, port)
        yield Program(
            server.name,
            command,
            {**environment(settings), **own},
            f"{LOOPBACK}:{port}",
            is_backing=True,
            stop_signal=server.stop_signal,
        )


def _services(settings: Settings, listening: Mapping[str, tuple[str, str]]) -> Iterator[Program]:
    for name, (service, address) in listening.items():
        module, *arguments = MODULES[service]
        told = {**environment(settings), **OWN.get(service, {}), f"{PREFIX}LISTEN": address}
        yield Program(name, (sys.executable, "-m", module, *arguments), told, address)


def environment(settings: Settings) -> dict[str, str]:
    """What every process must agree on."""
    names = (
        "profile",
        "data_dir",
        "host",
        "port",
        "triton_url",
        "triton_metrics_url",
        "milvus_uri",
        "database_url",
        "events_url",
        "cache_url",
        "discovery_url",
        "embedder",
        "models_dir",
        "auth",
        "service_secret",
    )
    values = {name: getattr(settings, name) for name in names}
    return {f"{PREFIX}{name.upper()}": _plain(value) for name, value in values.items() if value is not None}


def _like(present: object, value: str) -> SecretStr | str:
    return SecretStr(value) if isinstance(present, SecretStr) else value


def _plain(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


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
