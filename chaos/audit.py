"""The end of a run: everything is asked for once more, and held against the ledger."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from chaos.ledger import Ledger, Record, Seen
from chaos.load import COLLECTIONS
from chaos.sessions import Missing, Refused, Session

Item = TypeVar("Item")

SETTLED_WITHIN_S = 120.0
CLIENTS = 8
POLL_S = 0.5
UNFINISHED = ("QUEUED", "PROCESSING")
CHUNKS_MAX = 100  # of one document, which one search shows


async def audit(sessions: Sequence[Session], ledger: Ledger) -> float:
    """Waits until nothing is in the making, and judges it all. Returns how long that took to settle."""
    began = time.monotonic()
    places = [(session, collection) for session in sessions for collection in COLLECTIONS]
    listed = {(each.tenant, collection): await _settled(each, collection, began) for each, collection in places}
    settled_s = time.monotonic() - began
    for (tenant, collection), documents in listed.items():
        ledger.settled(tenant, collection, documents)
    by_tenant = {session.tenant: session for session in sessions}
    counts = {seen.id: seen.chunk_count for documents in listed.values() for seen in documents}

    async def read(record: Record) -> None:
        session = by_tenant[record.tenant]
        began = time.monotonic()
        hits = await session.search(
            record.collection, f"locker of {record.marker}", top_k=CHUNKS_MAX, within=record.id
        )
        ledger.retrieved(record.tenant, record.collection, hits, began=began, of=record)
        ledger.read_whole(record, hits, chunk_count=counts.get(record.id, 0))

    async def miss(record: Record) -> None:
        session = by_tenant[record.tenant]
        began = time.monotonic()
        hits = await session.search(record.collection, f"locker of {record.marker}", top_k=10)
        ledger.retrieved(record.tenant, record.collection, hits, began=began)
        try:
            await session.get(record.id)
        except Missing:
            return
        ledger.found_after_delete(record)

    await _each(read, ledger.kept())
    await _each(miss, ledger.deleted())
    return settled_s


async def _settled(session: Session, collection: str, began: float) -> list[Seen]:
    """The list of a collection once nothing of it is in the making, or when that takes too long."""
    while True:
        listed = await session.list_all(collection)
        is_late = time.monotonic() - began > SETTLED_WITHIN_S
        if is_late or not any(seen.state in UNFINISHED for seen in listed):
            return listed
        await asyncio.sleep(POLL_S)


async def _each(act: Callable[[Item], Awaitable[None]], items: Iterable[Item]) -> None:
    queue = iter(list(items))

    async def client() -> None:
        for item in queue:
            await _again(act, item)

    async with asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(client())


async def _again(act: Callable[[Item], Awaitable[None]], item: Item) -> None:
    """Acts, again where the mesh asks for it. Raises Refused when it still does so after a while."""
    began = time.monotonic()
    while True:
        try:
            await act(item)
        except Refused as refused:
            if not refused.is_retriable or time.monotonic() - began > SETTLED_WITHIN_S:
                raise
            await asyncio.sleep(refused.after_s or POLL_S)
        else:
            return
