"""Leases on SQLite and PostgreSQL: one holder at a time, and nothing is changed under a lease that is over."""

import asyncio

import pytest

from ragmesh.storage.database import Database
from svc_document.model import Document, Failure, LeaseLost, NewDocument, Queued, Result, Stage, State
from svc_document.store.chores import SqlChores
from svc_document.store.collections import SqlCollections
from svc_document.store.documents import SqlDocuments
from svc_document.store.leases import SqlLeases

LEASE_S = 0.2
RESULT = Result("text/plain", 0, 3)
FAILURE = Failure(Stage.EMBED, "embed_unavailable", "away", retriable=True)


@pytest.fixture
async def document(database: Database) -> Document:
    collection = await SqlCollections(database).find("t", "default")
    return await SqlDocuments(database).add(
        collection, NewDocument("0198b0a0-0000-7000-8000-000000000001", "a", 1, "0" * 64, {})
    )


@pytest.fixture
def leases(database: Database) -> SqlLeases:
    return SqlLeases(database, lease_s=LEASE_S)


async def test_only_one_of_many_workers_gets_a_document(leases: SqlLeases, document: Document):
    taken = await asyncio.gather(*(leases.take(Queued("t", document.id, 1)) for _ in range(10)))

    assert len([lease for lease in taken if lease]) == 1


async def test_a_zombie_is_fenced_off_once_its_document_was_taken_over(
    leases: SqlLeases, database: Database, document: Document
):
    zombie = await leases.take(Queued("t", document.id, 1))
    assert zombie
    await asyncio.sleep(LEASE_S * 1.2)
    successor = await leases.take(Queued("t", document.id, 1))
    assert successor

    assert await leases.renew({zombie: 0.5, successor: 0.1}) == {successor}
    for write in (leases.finish(zombie, RESULT), leases.fail(zombie, FAILURE), leases.retry(zombie, FAILURE, 1)):
        with pytest.raises(LeaseLost):
            await write
    await leases.release(zombie)
    await leases.finish(successor, RESULT)

    ready = await SqlDocuments(database).get("t", document.id)
    assert (ready.state, ready.attempts, ready.chunk_count) == (State.READY, 2, 3)


async def test_a_lease_ends_with_its_documents_deletion(leases: SqlLeases, database: Database, document: Document):
    lease = await leases.take(Queued("t", document.id, 1))
    assert lease
    await SqlDocuments(database).hide("t", document.id)

    assert await leases.renew({lease: 0.5}) == set()
    with pytest.raises(LeaseLost):
        await leases.finish(lease, RESULT)
    assert await leases.oldest_kept(document.id) is None


async def test_the_row_of_a_deleted_document_stays_while_a_lease_runs(
    leases: SqlLeases, database: Database, document: Document
):
    documents = SqlDocuments(database)
    lease = await leases.take(Queued("t", document.id, 1))
    assert lease
    await documents.hide("t", document.id)

    await documents.erase(document.id)
    assert await documents.read_many([document.id])

    await leases.release(lease)
    await documents.erase(document.id)
    assert not await documents.read_many([document.id])


async def test_a_retry_waits_for_its_time(leases: SqlLeases, database: Database, document: Document):
    chores = SqlChores(database)
    lease = await leases.take(Queued("t", document.id, 1))
    assert lease
    await leases.retry(lease, FAILURE, 0.2)

    assert await leases.take(Queued("t", document.id, 1)) is None
    assert await chores.requeue() == 0
    await asyncio.sleep(0.25)
    assert await chores.requeue() == 1
    assert await chores.requeue() == 0
    assert await leases.take(Queued("t", document.id, 1))


async def test_an_event_of_a_past_generation_leads_to_nothing(
    leases: SqlLeases, database: Database, document: Document
):
    lease = await leases.take(Queued("t", document.id, 1))
    assert lease
    await leases.finish(lease, RESULT)
    await SqlDocuments(database).reprocess("t", document.id)

    assert await leases.take(Queued("t", document.id, 1)) is None
    assert await leases.take(Queued("t", document.id, 2))
