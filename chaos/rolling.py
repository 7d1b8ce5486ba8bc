"""Two measurements of a mesh with replicas: a rolling restart, and an instance that is killed."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

import aiohttp

from chaos.faults import Kill, Restart
from chaos.mesh import Mesh
from chaos.sessions import EdgeSession, Refused
from ragmesh.edge_headers import edge_headers

COLLECTION = "rolling"
TEXTS = 50
RATE = 100.0  # searches per second, whether or not earlier ones have answered
CLIENTS = 64
BEFORE_S, BETWEEN_S, AFTER_S = 3.0, 5.0, 10.0
READY_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Search:
    """One search of a measurement."""

    began: float  # seconds since the measurement did
    seconds: float
    error: str  # empty when it succeeded
    is_retriable: bool = False


@dataclass(frozen=True, slots=True)
class Measured:
    """What the searches of a measurement saw."""

    name: str
    seconds: float
    searches: Sequence[Search]
    last_failure_s: float  # from the first fault to the end of the last failed search; 0 without one

    @property
    def errors(self) -> Counter[str]:
        return Counter(search.error for search in self.searches if search.error)

    def row(self) -> list[str]:
        """For a table under HEAD."""
        latencies = [search.seconds * 1e3 for search in self.searches]
        return [
            self.name,
            f"{len(self.searches):,}",
            f"{len(self.searches) / self.seconds:.0f}/s",
            str(self.errors.total()),
            ", ".join(f"{count} × {kind}" for kind, count in self.errors.most_common()) or "none",
            f"{sum(search.is_retriable for search in self.searches)}",
            f"{self.last_failure_s:.2f} s",
            f"{median(latencies):.0f} ms",
            f"{quantiles(latencies, n=100)[-1]:.0f} ms",
            f"{max(latencies):.0f} ms",
        ]


HEAD = ["", "searches", "rate", "failed", "as", "retriable", "last failure after", "p50", "p99", "longest"]


async def rolling_restart(mesh: Mesh, *, rate: float = RATE) -> Measured:
    """Searches at a fixed rate while every service with replicas is restarted, one instance after the other."""
    names = replicated(mesh)

    async def restart_all(http: aiohttp.ClientSession) -> None:
        for name in names:
            await Restart(name).inject(mesh)
            while not await mesh.is_whole(http):  # noqa: ASYNC110 they are other processes' events
                await asyncio.sleep(READY_POLL_S)
            await asyncio.sleep(BETWEEN_S)

    return await _measure(mesh, f"rolling restart of {', '.join(names)}", _open_loop(rate), restart_all)


async def killed(mesh: Mesh, name: str = "query-2", *, clients: int = CLIENTS) -> Measured:
    """So many clients search one after the other, and one instance is killed."""

    async def kill(_: aiohttp.ClientSession) -> None:
        await Kill(name).inject(mesh)
        await asyncio.sleep(AFTER_S)

    return await _measure(mesh, f"kill -9 of {name} under {clients} clients", _closed_loop(clients), kill)


def replicated(mesh: Mesh) -> list[str]:
    """The instances of services that have more than one."""
    names = mesh.processes()
    services = [name.rpartition("-")[0] for name in names if name.rpartition("-")[2].isdecimal()]
    return [name for name in names if name in services or name.rpartition("-")[0] in services]


Act = Callable[[], Awaitable[None]]
Fault = Callable[[aiohttp.ClientSession], Awaitable[None]]
Loop = Callable[[Act, asyncio.Event], Coroutine[Any, Any, None]]


async def _measure(mesh: Mesh, name: str, loop: Loop, fault: Fault) -> Measured:
    headers, connector = await edge_headers(mesh.settings, "chaos"), aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as http:
        session = EdgeSession(mesh.url, http)
        await _fill(session)
        searches: list[Search] = []
        began, enough = time.monotonic(), asyncio.Event()

        async def search() -> None:
            searches.append(await _search(session, began))

        loading = asyncio.create_task(loop(search, enough))
        await asyncio.sleep(BEFORE_S)
        await fault(http)
        await asyncio.sleep(BEFORE_S)
        enough.set()
        await loading
    failures = [each.began + each.seconds for each in searches if each.error]
    last_s = max(failures) - BEFORE_S if failures else 0.0
    return Measured(name, time.monotonic() - began, searches, last_s)


async def _search(session: EdgeSession, epoch: float) -> Search:
    began = time.monotonic()
    query = f"calibration of sensor {random.randrange(TEXTS)}"  # noqa: S311 no secret
    try:
        await session.search(COLLECTION, query, top_k=3)
    except Refused as refused:
        return Search(began - epoch, time.monotonic() - began, refused.kind, refused.is_retriable)
    return Search(began - epoch, time.monotonic() - began, "")


async def _fill(session: EdgeSession) -> None:
    await session.create(COLLECTION)
    for number in range(TEXTS):
        text = f"The calibration of sensor {number} is due in week {number % 52}."
        await session.upload(COLLECTION, f"{number}.txt", text)
    while any(seen.state != "READY" for seen in await session.list_all(COLLECTION)):  # noqa: ASYNC110 likewise
        await asyncio.sleep(READY_POLL_S)
    await asyncio.gather(*(session.search(COLLECTION, "sensor", top_k=1) for _ in range(8)))


def _open_loop(rate: float) -> Loop:
    """Begins a search every 1/rate seconds, come what may."""

    async def once(search: Act) -> None:
        await search()

    async def run(search: Act, enough: asyncio.Event) -> None:
        began, number = time.monotonic(), 0
        async with asyncio.TaskGroup() as group:
            while not enough.is_set():
                group.create_task(once(search))
                number += 1
                await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))

    return run


def _closed_loop(clients: int) -> Loop:
    """So many clients, each searching again when its last search has ended."""

    async def client(search: Act, enough: asyncio.Event) -> None:
        while not enough.is_set():
            await search()

    async def run(search: Act, enough: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(client(search, enough))

    return run
