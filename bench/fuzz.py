"""`python -m bench.fuzz`: what becomes of an edge, and of its users, while others do their worst to it.

A few users search a mesh, alone and while each kind of attack goes on, in turns. Throughout, the edge is asked
whether it is alive and ready. Its memory is read before, at the height of, and after each attack.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from statistics import median, quantiles
from typing import Annotated
from uuid import uuid4

import aiohttp
import psutil
import typer
import uvloop
from rich.console import Console
from rich.table import Table
from sqlalchemy import update

from bench.attacks import A_SECOND, KINDS
from bench.corpus import synthetic
from bench.edge import Edge
from bench.fleet import Make, started
from bench.probe import WITHIN_S, probing
from ragmesh import settings as configuration
from ragmesh.inference import build
from ragmesh.storage.database import connect
from ragmesh.up import state
from ragmesh.up.plan import Plan
from svc_document.model import State
from svc_document.store.tables import documents

USERS = 3
MINUTES = 3.0
CONNECTIONS = 10_000
FIRST = "idle-streams, the first time"
PASSING = ("garbage", "huge-headers")  # whose connections are not held
HELD = {"slow-loris": 2_000, "half-uploads": 500}  # at most; others may hold all
HOLD_S = 20.0  # how long each connection is held, after all those before it are open
SETTLE_S = 3.0
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Seen:
    """One kind of attack, and what others had of it."""

    kind: str
    said: Mapping[str, int]  # what the edge said to the attacker, and how often
    alone_s: Sequence[float]  # searches
    during_s: Sequence[float]
    failed: Mapping[str, int]  # searches of users that were not answered, by why
    not_ready: int  # probes that were not answered well
    probes: int
    memory_before: int
    memory_during: int
    memory_after: int

    @property
    def p99_ratio(self) -> float:
        """How much longer the slowest of a hundred searches took."""
        return _p99(self.during_s) / _p99(self.alone_s)

    @property
    def memory_ratio(self) -> float:
        """What the edge holds afterwards, of what it held before."""
        return self.memory_after / self.memory_before


class Fuzz:
    """A mesh under attack."""

    def __init__(self, planned: Plan, edge: Edge, collection: str, idle_document: str) -> None:
        self._planned = planned
        self._edge = edge
        self._collection = collection
        self._paths = {
            "idle-streams": f"/v1/documents/{idle_document}/events",
            "half-uploads": f"/v1/collections/{collection}/documents?name=half.txt",
        }
        found = state.read(planned.settings.home)
        self._process = psutil.Process(found["processes"]["gateway"]["pid"] if found else 0)
        self._questions = count()

    async def attack(self, kind: str, seconds: float, connections: int) -> Seen:
        """Searches alone, and then while an attack goes on."""
        before = self._process.memory_info().rss
        async with self._users() as (alone, _):
            await asyncio.sleep(seconds / 2)
        async with probing(self._pages()) as answered_s, self._users() as (during, failed):
            most, said = await self._attacked(kind, seconds, connections)
        await asyncio.sleep(SETTLE_S)
        took = [each for page in answered_s.values() for each in page]
        return Seen(
            kind=kind,
            said=said,
            alone_s=alone,
            during_s=during,
            failed=failed,
            not_ready=sum(each >= WITHIN_S for each in took),
            probes=len(took),
            memory_before=before,
            memory_during=most,
            memory_after=self._process.memory_info().rss,
        )

    async def _attacked(self, kind: str, seconds: float, connections: int) -> tuple[int, Mapping[str, int]]:
        """The most memory that the edge had meanwhile, and what it said."""
        held, path = min(connections, HELD.get(kind, connections)), self._paths.get(kind, "/healthz")
        if kind not in PASSING:
            seconds = max(seconds, held / A_SECOND + min(seconds, HOLD_S))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.attacks", kind, self._planned.url, f"{seconds}", f"{held}", path),
            stdout=asyncio.subprocess.PIPE,
        )
        ended = asyncio.create_task(process.communicate())
        most = 0
        while not ended.done():
            most = max(most, self._process.memory_info().rss)
            await asyncio.wait([ended], timeout=0.5)
        printed, _ = await ended
        return most, json.loads(printed.splitlines()[-1])

    @asynccontextmanager
    async def _users(self) -> AsyncIterator[tuple[list[float], Counter[str]]]:
        """Searches inside the block: what each took, and why some were not answered."""
        took: list[float] = []
        failed: Counter[str] = Counter()
        users = [asyncio.create_task(self._user(took, failed)) for _ in range(USERS)]
        try:
            yield took, failed
        finally:
            for user in users:
                user.cancel()
            await asyncio.wait(users)

    async def _user(self, took: list[float], failed: Counter[str]) -> None:
        while True:
            began = time.perf_counter()
            try:
                await self._edge.search(self._collection, f"{uuid4().hex[:8]} {next(self._questions)}", top_k=4)
            except aiohttp.ClientError as error:
                failed[str(getattr(error, "status", type(error).__name__))] += 1
            took.append(time.perf_counter() - began)
            await asyncio.sleep(0.01)

    def _pages(self) -> Mapping[str, str]:
        return {name: f"{self._planned.url}/{name}" for name in ("healthz", "readyz")}


async def _idle_document(planned: Plan, edge: Edge) -> str:
    """A document that is in the making for good: a lease is held on it, and nobody works under it."""
    listed = await edge.json("GET", "/v1/collections/fuzz/documents?page_size=1")
    found = str(listed["documents"][0]["id"])
    now = datetime.now(UTC)
    async with connect(planned.settings.database) as database, database.write() as connection:
        await connection.execute(
            update(documents)
            .where(documents.c.id == found)
            .values(
                state=State.PROCESSING,
                lease_token=str(uuid4()),
                lease_until=now + timedelta(days=1),
                updated_at=now,
            )
        )
    return found


def main(
    minutes: Annotated[float, typer.Option(help="length of all attacks, without opening connections")] = MINUTES,
    connections: Annotated[int, typer.Option(help="connections that are held at once")] = CONNECTIONS,
    json_: Annotated[Path | None, typer.Option("--json", help="file to write the figures to")] = None,
) -> None:
    """Attacks the edge of a mesh of its own in every way it knows, while others search."""
    models = build.build(configuration.load(), lambda step, share: print(f"models {share:4.0%}: {step}"))
    with tempfile.TemporaryDirectory() as folder:
        seen = uvloop.run(_measure(Path(folder), models, minutes * 60 / len(KINDS), connections))
    _show(seen)
    if json_:
        figures = [asdict(each) | {"p99_ratio": each.p99_ratio, "memory_ratio": each.memory_ratio} for each in seen]
        json_.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


async def _measure(folder: Path, models: Path, seconds: float, connections: int) -> list[Seen]:
    async with started(Make("fuzz"), models, folder) as planned, Edge.at(planned.url) as edge:
        await edge.add_all("fuzz", synthetic().passages)
        fuzz = Fuzz(planned, edge, "fuzz", await _idle_document(planned, edge))
        await fuzz.attack("garbage", min(10.0, seconds), connections)  # warms up
        first = await fuzz.attack("idle-streams", seconds, connections)  # what it keeps, it keeps from here on
        seen = [replace(first, kind=FIRST)]
        for kind in KINDS:
            seen.append(await fuzz.attack(kind, seconds, connections))
            print(f"{kind}: {dict(seen[-1].said)}", flush=True)
        return seen


def _show(seen: Sequence[Seen]) -> None:
    table = Table(
        *("attack", "searches: p50, ms", "p99, ms", "p99 alone", "ratio", "not answered"),
        *("probes not ready", "memory before, MiB", "most", "after", "ratio"),
    )
    for each in seen:
        table.add_row(
            each.kind,
            f"{median(each.during_s) * 1e3:.1f}",
            f"{_p99(each.during_s) * 1e3:.1f}",
            f"{_p99(each.alone_s) * 1e3:.1f}",
            f"{each.p99_ratio:.2f}",
            ", ".join(f"{why}: {times}" for why, times in each.failed.items()) or "0",
            f"{each.not_ready} of {each.probes}",
            f"{each.memory_before / MIB:.0f}",
            f"{each.memory_during / MIB:.0f}",
            f"{each.memory_after / MIB:.0f}",
            f"{each.memory_ratio:.2f}",
        )
    Console(width=160).print(table)


def _p99(seconds: Sequence[float]) -> float:
    return quantiles(seconds, n=100, method="inclusive")[-1]


if __name__ == "__main__":
    typer.run(main)
