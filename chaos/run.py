"""A run: the load goes on while one fault after the other happens."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import aiohttp

from chaos import journal, sessions
from chaos.audit import audit
from chaos.faults import Fault
from chaos.journal import Journal
from chaos.ledger import Ledger, Violation
from chaos.load import Load, Rates
from chaos.mesh import Mesh
from ragmesh.edge_headers import edge_headers

TENANTS = ("tide", "storm")  # beside the edge's own
QUIET_S = 2.5  # without an error: it is over
BACK_WITHIN_S = 90.0
POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Episode:
    """A fault, and what it cost."""

    fault: str
    target: str
    lasted_s: float  # from the fault until it was healed
    calls: int  # that ended meanwhile and until all was well again
    errors: dict[str, int]  # failed tries, by kind
    failed: dict[str, int]  # calls that failed for good
    recovery_s: float | None  # from the fault to the last failed try; None: not back in time
    violations: int
    told: Sequence[str]  # every failed try


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that a run came to."""

    episodes: Sequence[Episode]
    violations: Sequence[Violation]
    processes: Sequence[str]
    documents: int  # accepted
    deletes: int
    reprocesses: int
    searches: int
    answers: int
    tries: int
    retried: int
    failed: dict[str, int]
    seconds: float
    settled_s: float


@dataclass(frozen=True, slots=True)
class Goal:
    """What a run must at least have done."""

    documents: int = 0
    searches: int = 0


@dataclass
class Run:
    """One mesh, one load, some faults."""

    mesh: Mesh
    rates: Rates = field(default_factory=Rates)
    ledger: Ledger = field(default_factory=Ledger)
    journal: Journal = field(default_factory=Journal)
    says: Callable[[Episode], object] = lambda _: None

    async def play(self, faults: Sequence[Fault], goal: Goal = Goal(), *, warm_s: float = 5.0) -> Outcome:
        """Lets every fault happen under load, goes on until the goal is reached, and audits what is there."""
        began = time.monotonic()
        async with AsyncExitStack() as opened:
            settings = self.mesh.settings
            headers, connector = await edge_headers(settings, "chaos"), aiohttp.TCPConnector(limit=0)
            http = await opened.enter_async_context(aiohttp.ClientSession(connector=connector, headers=headers))
            others = [await opened.enter_async_context(sessions.direct(settings, tenant)) for tenant in TENANTS]
            clients: list[sessions.Session] = [sessions.EdgeSession(self.mesh.url, http), *others]
            load = Load(clients, self.ledger, self.journal, self.rates)
            await load.prepare()
            episodes = await self._under(load, faults, goal, warm_s, http)
            settled_s = await audit(clients, self.ledger)
        return self._outcome(load, episodes, time.monotonic() - began, settled_s)

    async def _under(
        self, load: Load, faults: Sequence[Fault], goal: Goal, warm_s: float, http: aiohttp.ClientSession
    ) -> list[Episode]:
        running = asyncio.create_task(load.run())
        try:
            await asyncio.sleep(warm_s)
            episodes = [await self._strike(fault, http) for fault in faults]
            while not running.done() and (self._documents() < goal.documents or load.searched < goal.searches):  # noqa: ASYNC110
                await asyncio.sleep(POLL_S)
        finally:
            load.stop()
            await running
        return episodes

    async def _strike(self, fault: Fault, http: aiohttp.ClientSession) -> Episode:
        began, wrong = time.monotonic(), len(self.ledger.violations)
        await fault.inject(self.mesh)
        await asyncio.sleep(fault.lasts_s)
        await fault.heal(self.mesh)
        lasted_s = time.monotonic() - began
        is_back = await self._back(time.monotonic(), http)
        attempts = self.journal.since(began)
        episode = Episode(
            fault=fault.name,
            target=fault.target,
            lasted_s=lasted_s,
            calls=journal.calls(attempts),
            errors=journal.errors(attempts),
            failed=journal.failed(attempts),
            recovery_s=max(0.0, self.journal.last_outage_at() - began) if is_back else None,
            violations=len(self.ledger.violations) - wrong,
            told=journal.told(attempts, began),
        )
        self.says(episode)
        return episode

    async def _back(self, healed: float, http: aiohttp.ClientSession) -> bool:
        """Waits until no try has failed for a while and every process runs; False when that takes too long."""
        while (now := time.monotonic()) - healed < BACK_WITHIN_S:
            is_quiet = now - max(healed, self.journal.last_outage_at()) > QUIET_S
            if is_quiet and await self.mesh.is_whole(http):
                return True
            await asyncio.sleep(POLL_S)
        return False

    def _documents(self) -> int:
        return sum(bool(record.id) for record in self.ledger.records)

    def _outcome(self, load: Load, episodes: list[Episode], seconds: float, settled_s: float) -> Outcome:
        tries = self.journal.attempts
        return Outcome(
            episodes=episodes,
            violations=self.ledger.violations,
            processes=sorted(self.mesh.processes()),
            documents=self._documents(),
            deletes=sum(1 for _ in self.ledger.deleted()),
            reprocesses=sum(record.reprocessed for record in self.ledger.records),
            searches=load.searched,
            answers=load.asked,
            tries=len(tries),
            retried=sum(bool(each.error) and not each.is_last for each in tries),
            failed=journal.failed(tries),
            seconds=seconds,
            settled_s=settled_s,
        )
