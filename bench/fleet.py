"""Whole meshes of the bench's own, several at once, and what each of their processes spends."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import psutil

from bench.edge import Edge
from ragmesh import settings as configuration
from ragmesh.client import Client
from ragmesh.up import secret, servers, state
from ragmesh.up.mesh import running
from ragmesh.up.plan import Plan, plan
from ragmesh.v1 import Health


@dataclass(frozen=True, slots=True)
class Make:
    """What a mesh is made of."""

    name: str
    profile: Literal["embedded", "mesh"] = "embedded"
    query: int = 1
    worker: int = 1
    worker_module: str = "svc_document"


@dataclass(frozen=True, slots=True)
class Ship:
    """A mesh that runs."""

    make: Make
    home: Path
    edge: Edge
    client: Client

    def cpu_s(self) -> Mapping[str, float]:
        """Processor seconds of each process since it started, its children's among them."""
        return cpu_of_mesh(self.home)


@asynccontextmanager
async def fleet(makes: Sequence[Make], models: Path, folder: Path) -> AsyncIterator[list[Ship]]:
    """Starts them all, then connects to each; they run at once, so that rounds can take turns."""
    async with AsyncExitStack() as opened:
        plans = [await opened.enter_async_context(started(make, models, folder / make.name)) for make in makes]
        yield [await opened.enter_async_context(_boarded(*pair)) for pair in zip(makes, plans, strict=True)]


@asynccontextmanager
async def started(make: Make, models: Path, home: Path) -> AsyncIterator[Plan]:
    """A mesh that serves: its servers installed, its edge on a free port, its data in `home`."""
    settings = configuration.load().model_copy(
        update={"profile": make.profile, "data_dir": home, "port": 0, "models_dir": models}
    )
    with state.locked(home):
        planned = _with_worker(
            plan(secret.ensured(settings), {"query": make.query, "worker": make.worker}), make.worker_module
        )
        await asyncio.to_thread(servers.install, settings, print)
        async with running(planned, lambda _: None) as mesh:
            await mesh.ready()
            yield planned


def _with_worker(planned: Plan, module: str) -> Plan:
    """The plan, its workers run by another module."""
    programs = [
        replace(each, command=tuple(module if part == "svc_document" else part for part in each.command))
        if each.name.startswith("worker")
        else each
        for each in planned.programs
    ]
    return replace(planned, programs=tuple(programs))


@asynccontextmanager
async def _boarded(make: Make, planned: Plan) -> AsyncIterator[Ship]:
    async with Edge.of(planned.settings) as edge, Client(planned.settings) as client:
        await _all_instances(client, make)
        yield Ship(make, planned.settings.home, edge, client)


async def _all_instances(client: Client, make: Make) -> None:
    """Returns once every instance serves."""
    wanted = {"query": make.query, "worker": make.worker}
    while True:
        present = [
            instance.service for instance in (await client.mesh()).instances if instance.health == Health.SERVING
        ]
        if all(present.count(service) >= count for service, count in wanted.items()):
            return
        await asyncio.sleep(0.2)


def cpu_of_mesh(home: Path) -> Mapping[str, float]:
    """Processor seconds of each process of a mesh since it started, its children's among them."""
    found = state.read(home)
    processes = found["processes"] if found else {}
    return {name: cpu_s(process["pid"]) for name, process in processes.items()}


def cpu_s(pid: int) -> float:
    """Processor seconds of a process and its children."""
    process = psutil.Process(pid)
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return sum(time.user + time.system for time in times)
