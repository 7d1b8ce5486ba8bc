"""The servers behind a mesh: Triton and Milvus Lite; for the mesh profile Consul, Kafka, PostgreSQL and Redis too.

One that the settings give an address of is somebody else's, and is not started.
"""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import ragmesh
from ragmesh.inference.preflight import CannotStart
from ragmesh.settings import Settings
from ragmesh.storage.vectors import lite

LOOPBACK = "127.0.0.1"
SCRIPTS = Path(ragmesh.__file__).parents[1] / "deploy" / "local"


@dataclass(frozen=True, slots=True)
class Server:
    """A server that a mesh can start, and the setting that says where it is."""

    name: str
    setting: str
    address: str  # the setting's value for "{port}"
    stop_signal: signal.Signals = signal.SIGTERM

    def is_external(self, settings: Settings) -> bool:
        """Whether the settings already say where it is."""
        return self.setting in settings.model_fields_set


EMBEDDED = (
    Server("triton", "triton_url", f"{LOOPBACK}:{{port}}"),
    Server("milvus", "milvus_uri", f"http://{LOOPBACK}:{{port}}"),
)
MESH = (
    Server("consul", "discovery_url", f"consul://{LOOPBACK}:{{port}}"),
    Server("kafka", "events_url", f"kafka://{LOOPBACK}:{{port}}"),
    Server(
        "postgres",
        "database_url",
        f"postgresql+asyncpg://ragmesh@{LOOPBACK}:{{port}}/ragmesh",
        signal.SIGINT,  # its SIGTERM waits for the last client
    ),
    Server("redis", "cache_url", f"redis://{LOOPBACK}:{{port}}/0"),
)


def needed(settings: Settings) -> Iterator[Server]:
    """The servers to start for these settings."""
    for server in EMBEDDED + MESH if settings.profile == "mesh" else EMBEDDED:
        if not server.is_external(settings):
            yield server


def install(settings: Settings, say: Callable[[str], None]) -> None:
    """Installs those of the mesh profile that are missing. Raises CannotStart."""
    names = [server.name for server in needed(settings) if server in MESH]
    if not names:
        return
    script = SCRIPTS / "install.sh"
    if not script.exists():
        raise CannotStart(
            f"the mesh profile starts {', '.join(names)} by the scripts of the project's folder, and {script}"
            " is not there: run it from a clone, or set the addresses of your own servers"
        )
    say(f"servers: {', '.join(names)}")
    installed = subprocess.run([script, *names], text=True, capture_output=True, check=False)  # noqa: S603 our own
    if installed.returncode:
        raise CannotStart(f"servers can't be installed:\n{installed.stdout}{installed.stderr}")


def command(server: Server, settings: Settings, port: int) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """What runs a server, and what its environment needs."""
    data = settings.home / server.name
    if server.name == "triton":
        return (sys.executable, "-m", "ragmesh.inference.server"), {}
    if server.name == "milvus":
        return tuple(lite.command(data, port)), lite.ENVIRONMENT
    return (str(SCRIPTS / "start.sh"), server.name, str(data), str(port)), {}
