"""What can happen to a mesh. A fault is a small object: it names itself, happens, and goes."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

from chaos.mesh import SERVERS, Mesh
from chaos.proxy import Proxy
from ragmesh.settings import EMBEDDERS, Settings

RESTART_WITHIN_S = 60.0
PIECE_BYTES = 1024 * 1024


class Fault(Protocol):
    """Something that happens to a mesh."""

    @property
    def name(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def lasts_s(self) -> float: ...

    async def inject(self, mesh: Mesh) -> None: ...
    async def heal(self, mesh: Mesh) -> None: ...


@dataclass(frozen=True, slots=True)
class Kill:
    """kill -9. `ragmesh up` starts the process again."""

    target: str
    name: str = "kill -9"
    lasts_s: float = 0.0

    async def inject(self, mesh: Mesh) -> None:
        mesh.process(self.target).kill()

    async def heal(self, mesh: Mesh) -> None:
        pass


@dataclass(frozen=True, slots=True)
class KillChild:
    """kill -9 of a process below one of the mesh's: a model's, or the server under its launcher."""

    target: str
    of: str
    command: str  # a part of its command line
    name: str = "kill -9"
    lasts_s: float = 0.0

    async def inject(self, mesh: Mesh) -> None:
        children = mesh.process(self.of).children(recursive=True)
        for child in children:
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                if self.command in " ".join(child.cmdline()):
                    child.kill()
                    return
        raise RuntimeError(f"no process below {self.of} runs {self.command}")

    async def heal(self, mesh: Mesh) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Restart:
    """SIGTERM, a new process, and nothing else."""

    target: str
    name: str = "graceful restart"
    lasts_s: float = 0.0

    async def inject(self, mesh: Mesh) -> None:
        before = mesh.processes()[self.target]
        # PostgreSQL's SIGTERM waits for the last client to leave.
        os.kill(before.pid, signal.SIGINT if self.target == "postgres" else signal.SIGTERM)
        async with asyncio.timeout(RESTART_WITHIN_S):
            await mesh.restarted(self.target, before)

    async def heal(self, mesh: Mesh) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Pause:
    """SIGSTOP for a while, then SIGCONT: to everybody else it hangs with its connections open."""

    target: str
    lasts_s: float = 5.0
    name: str = "hang (SIGSTOP)"

    async def inject(self, mesh: Mesh) -> None:
        self._signal(mesh, signal.SIGSTOP)

    async def heal(self, mesh: Mesh) -> None:
        self._signal(mesh, signal.SIGCONT)

    def _signal(self, mesh: Mesh, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(mesh.processes()[self.target].pid, number)


@dataclass(frozen=True, slots=True)
class Network:
    """Trouble on the way to a process."""

    target: str
    name: str
    trouble: Callable[[Proxy], None]
    lasts_s: float = 5.0

    async def inject(self, mesh: Mesh) -> None:
        self.trouble(mesh.proxies[self.target])

    async def heal(self, mesh: Mesh) -> None:
        mesh.proxies[self.target].heal()


def cut(target: str) -> Network:
    """Connections are reset, and new ones refused."""
    return Network(target, "network cut", Proxy.cut)


def silence(target: str) -> Network:
    """Nothing arrives, and nobody says so."""
    return Network(target, "network silent", Proxy.silence)


def slow(target: str, delay_s: float = 0.1) -> Network:
    """Every piece is held back."""
    return Network(target, f"network {delay_s * 1e3:.0f} ms slower", lambda proxy: proxy.slow(delay_s))


@dataclass(frozen=True, slots=True)
class FullDisk:
    """Nothing more fits where originals are kept."""

    disk: Path
    target: str = "blobs"
    name: str = "disk full"
    lasts_s: float = 5.0

    async def inject(self, mesh: Mesh) -> None:
        await asyncio.to_thread(self._fill)

    async def heal(self, mesh: Mesh) -> None:
        (self.disk / "filler").unlink()

    def _fill(self) -> None:
        with suppress(OSError), (self.disk / "filler").open("wb", buffering=0) as file:
            for size in (PIECE_BYTES, 1):
                with suppress(OSError):
                    while file.write(b"\0" * size):
                        pass


@dataclass(frozen=True, slots=True)
class Together:
    """Several at once."""

    faults: Sequence[Fault]

    @property
    def name(self) -> str:
        return " + ".join(dict.fromkeys(fault.name for fault in self.faults))

    @property
    def target(self) -> str:
        return " + ".join(fault.target for fault in self.faults)

    @property
    def lasts_s(self) -> float:
        return max(fault.lasts_s for fault in self.faults)

    async def inject(self, mesh: Mesh) -> None:
        await asyncio.gather(*(fault.inject(mesh) for fault in self.faults))

    async def heal(self, mesh: Mesh) -> None:
        await asyncio.gather(*(fault.heal(mesh) for fault in self.faults))


@dataclass(frozen=True, slots=True)
class PowerCut:
    """Every process dies at once; the mesh is started again."""

    target: str = "everything"
    name: str = "power cut"
    lasts_s: float = 2.0

    async def inject(self, mesh: Mesh) -> None:
        await mesh.cut_power()

    async def heal(self, mesh: Mesh) -> None:
        await mesh.start()


STUBS = {
    "Triton's embedder": f"/{EMBEDDERS['multilingual']}/1/model.py",
    "Triton's language model": f"/{Settings.model_fields['llm_model'].default}/1/model.py",
}


def every(names: Iterable[str], disk: Path | None) -> list[Fault]:
    """All that is done to the processes of a mesh in the long run, alone and then together."""
    names = list(names)
    servers = [name for name in SERVERS if name in names]
    alone: list[Fault] = [kind(name) for name in names for kind in (Kill, Pause, Restart)]
    alone += [KillChild(target, "triton", command) for target, command in STUBS.items()]
    alone += [kind(name) for name in servers for kind in (cut, silence, slow)]
    return alone + ([FullDisk(disk)] if disk else []) + _combined(names)


def _combined(names: Sequence[str]) -> list[Fault]:
    replicas = [name for name in names if name.rpartition("-")[2].isdecimal()]
    combined: list[Together] = [
        Together((Kill("worker"), Pause("milvus"))),
        Together((Kill("document"), Kill("query"), Kill("worker"))),
        Together((Kill("triton"), Kill("milvus"))),
        Together((cut("triton"), slow("milvus"))),
        Together((Kill("postgres"), Kill("kafka"))),
        Together((cut("redis"), cut("kafka"), cut("postgres"))),
        Together((cut("consul"), Kill("query"))),
        Together(tuple(Kill(name) for name in replicas)),
    ]
    possible = [each for each in combined if each.faults and {fault.target for fault in each.faults} <= {*names}]
    return [*possible, PowerCut()]


def few() -> list[Fault]:
    """A fault of each kind, for a short run on any profile."""
    return [
        Kill("worker"),
        Pause("query", lasts_s=2.0),
        Restart("document"),
        cut("milvus"),
        KillChild("Triton's embedder", "triton", STUBS["Triton's embedder"]),
        Together((Kill("gateway"), slow("triton"))),
    ]
