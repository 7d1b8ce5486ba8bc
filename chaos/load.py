"""A steady, bounded load: patient clients that upload, delete, index anew, search and ask."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from chaos.journal import Journal
from chaos.ledger import Hit, Ledger, Record, Seen
from chaos.sessions import Missing, Refused, Session

Answer = TypeVar("Answer")

PATIENCE_S = 90.0  # how long a client tries again before it gives up
FIRST_DELAY_S = 0.1
MAX_DELAY_S = 2.0
COLLECTIONS = ("harbour", "lighthouse")  # every tenant has both: the same names, never the same texts
LONG_EVERY = 12  # uploads, of which one has several chunks
LONG_LINES = 40
TWICE_EVERY = 9  # uploads, of which one is sent by two clients at once
LOOK_S = 1.0  # how often unfinished documents are looked at


@dataclass(frozen=True, slots=True)
class Rates:
    """Calls per second of the whole load, and the clients that share them."""

    searches: float = 30.0
    searchers: int = 24
    uploads: float = 3.0
    uploaders: int = 4
    deletes: float = 0.4
    reprocesses: float = 0.25
    answers: float = 0.15


@dataclass
class Load:
    """Clients of some tenants, over one ledger and one journal."""

    sessions: Sequence[Session]
    ledger: Ledger
    journal: Journal
    rates: Rates = field(default_factory=Rates)
    searched: int = 0
    asked: int = 0
    _uploads: int = 0
    _enough: asyncio.Event = field(default_factory=asyncio.Event)

    async def prepare(self) -> None:
        """Makes the collections."""
        for session in self.sessions:
            for collection in COLLECTIONS:
                await self._patiently("create", lambda s=session, c=collection: s.create(c))

    async def run(self) -> None:
        """Keeps the load up until `stop`."""
        rates = self.rates
        async with asyncio.TaskGroup() as group:
            for _ in range(rates.uploaders):
                group.create_task(self._keep(self._upload, rates.uploads / rates.uploaders))
            for _ in range(rates.searchers):
                group.create_task(self._keep(self._search, rates.searches / rates.searchers))
            group.create_task(self._keep(self._delete, rates.deletes))
            group.create_task(self._keep(self._reprocess, rates.reprocesses))
            group.create_task(self._keep(self._ask, rates.answers))
            group.create_task(self._keep(self._look, 1 / LOOK_S))

    def stop(self) -> None:
        """Lets every client finish what it does, and end."""
        self._enough.set()

    async def _keep(self, act: Callable[[], Awaitable[None]], rate: float) -> None:
        """Acts so often, less often where acting takes longer."""
        while not self._enough.is_set():
            began = time.monotonic()
            await act()
            rest = random.uniform(0.5, 1.5) / rate - (time.monotonic() - began)  # noqa: S311 no secret
            try:
                await asyncio.wait_for(self._enough.wait(), max(rest, 0.001))
            except TimeoutError:
                continue

    async def _upload(self) -> None:
        self._uploads += 1
        session, collection = self._place()
        lines = LONG_LINES if self._uploads % LONG_EVERY == 0 else 1
        record = self.ledger.plan(session.tenant, collection, lines=lines)
        senders = 2 if self._uploads % TWICE_EVERY == 0 else 1
        async with asyncio.TaskGroup() as group:
            for _ in range(senders):
                group.create_task(self._send(session, record, is_alone=senders == 1))

    async def _send(self, session: Session, record: Record, *, is_alone: bool) -> None:
        """Uploads, again where no acknowledgement came: the same bytes under the same name are one document."""
        called = await self._patiently(
            "upload", lambda: session.upload(record.collection, record.name, record.text)
        )
        if called:
            seen, tries = called
            self.ledger.accepted(record, seen.id, is_certain=is_alone and tries == 1)

    async def _delete(self) -> None:
        record = self._any(record for record in self.ledger.kept() if record.is_certain)
        if record is None:
            return
        record.is_deleting = True
        session = self._session(record)
        if await self._patiently("delete", lambda: _deleted(session, record.id)):
            record.deleted_at = time.monotonic()

    async def _reprocess(self) -> None:
        record = self._any(record for record in self.ledger.kept() if record.is_ready)
        if record is None:
            return
        session = self._session(record)
        called = await self._patiently(
            "reprocess", lambda: _unless_deleted(record, lambda: session.reprocess(record.id))
        )
        if called and called[0]:
            record.reprocessed += 1

    async def _search(self) -> None:
        """Looks for one document, all, another's, or a deleted one; every passage shown is judged."""
        session, collection = self._place()
        wanted, within = self._wanted(session, collection)
        began = 0.0

        async def once() -> list[Hit]:
            nonlocal began
            began = time.monotonic()
            query = f"locker of {wanted.marker}" if wanted else "silver key of the harbour"
            return await session.search(collection, query, top_k=10, within=within)

        called = await self._patiently("search", once)
        self.searched += 1
        if called:
            of = wanted if within and wanted and not wanted.is_deleting else None
            self.ledger.retrieved(session.tenant, collection, called[0], began=began, of=of)

    def _wanted(self, session: Session, collection: str) -> tuple[Record | None, str]:
        """A document to look for, and its id where the search is to be within it alone."""
        kind = random.random()  # noqa: S311 no secret
        here = (session.tenant, collection)
        if kind < 0.4:
            ready = (each for each in self.ledger.kept() if each.is_ready)
            record = self._any(each for each in ready if (each.tenant, each.collection) == here)
            return record, record.id if record else ""
        if kind < 0.6:
            record = self._any(self.ledger.deleted())
            return record, record.id if record else ""
        return self._any(self.ledger.kept()), ""

    async def _ask(self) -> None:
        session, collection = self._place()
        wanted, began = self._any(self.ledger.kept()), 0.0

        async def once() -> list[Hit]:
            nonlocal began
            began = time.monotonic()
            question = f"What is in locker 0 of {wanted.marker if wanted else 'nobody'}?"
            return await session.answer(collection, question)

        called = await self._patiently("answer", once)
        self.asked += 1
        if called:
            self.ledger.retrieved(session.tenant, collection, called[0], began=began)

    async def _look(self) -> None:
        """Notes which documents have become READY: from then on a search must find them."""
        unfinished = [record for record in self.ledger.kept() if not record.is_ready]
        for record in unfinished[:20]:
            session = self._session(record)
            called = await self._patiently(
                "get", lambda r=record, s=session: _unless_deleted(r, lambda: s.get(r.id))
            )
            if called and called[0] and called[0].state == "READY":
                record.is_ready = True

    async def _patiently(self, operation: str, call: Callable[[], Awaitable[Answer]]) -> tuple[Answer, int] | None:
        """The answer and the number of tries; None for a call that failed for good. Tries what may be again."""
        began, tries = time.monotonic(), 0
        while True:
            tries += 1
            try:
                answer = await call()
            except Refused as refused:
                gives_up = not refused.is_retriable or time.monotonic() - began > PATIENCE_S
                self.journal.add(operation, error=refused.kind, detail=refused.detail, is_last=gives_up)
                if gives_up:
                    return None
                delay_s = min(MAX_DELAY_S, FIRST_DELAY_S * 2 ** (tries - 1))
                await asyncio.sleep(refused.after_s or delay_s * random.uniform(0.5, 1))  # noqa: S311 jitter
                continue
            self.journal.add(operation)
            return answer, tries

    def _place(self) -> tuple[Session, str]:
        """Most of the load is the edge's, which comes first."""
        session = self.sessions[0] if random.random() < 0.6 else random.choice(self.sessions)  # noqa: S311
        return session, random.choice(COLLECTIONS)  # noqa: S311

    def _session(self, record: Record) -> Session:
        return next(session for session in self.sessions if session.tenant == record.tenant)

    @staticmethod
    def _any(records: Iterable[Record]) -> Record | None:
        choice = list(records)
        return random.choice(choice) if choice else None  # noqa: S311


async def _unless_deleted(record: Record, call: Callable[[], Awaitable[Seen]]) -> Seen | None:
    """What became of a document; None where another client is deleting it."""
    try:
        return await call()
    except Missing:
        if not record.is_deleting:
            raise
        return None


async def _deleted(session: Session, document_id: str) -> bool:
    """Deletes; what is gone already was deleted by an earlier try."""
    with suppress(Missing):
        await session.delete(document_id)
    return True
