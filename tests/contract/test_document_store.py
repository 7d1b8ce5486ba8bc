"""What the SQL of the document service promises while many use it at once, on SQLite and on PostgreSQL."""

import asyncio
import random
from contextlib import AsyncExitStack, suppress

import pytest
import uuid_utils
from sqlalchemy import select, text

from ragmesh.errors import AlreadyExists, FailedPrecondition, NotFound, Unavailable
from ragmesh.storage.database import Database, connect, migrate
from ragmesh.storage.events.outbox import outbox
from ragmesh.v1 import DocumentChanged, DocumentDeadLettered, DocumentState
from svc_document.migrations import MIGRATIONS
from svc_document.model import (
    Document,
    Failure,
    Lease,
    LeaseLost,
    NewDocument,
    Queued,
    Result,
    Stage,
    State,
)
from svc_document.store.announce import announced
from svc_document.store.chores import SqlChores
from svc_document.store.collections import SqlCollections
from svc_document.store.documents import SqlDocuments
from svc_document.store.leases import SqlLeases
from svc_document.wire import CHANGED_TOPIC, DEAD_LETTER_TOPIC

RESULT = Result("text/plain", 0, 3)
BROKEN = Failure(Stage.PARSE, "broken", "it is broken", retriable=False)


def new(name: str = "a", *, digit: str = "0", key: str = "") -> NewDocument:
    return NewDocument(str(uuid_utils.uuid7()), name, 1, digit * 64, {}, key)


async def add(database: Database, name: str = "a", collection: str = "default") -> Document:
    return await SqlDocuments(database).add(await SqlCollections(database).find("t", collection), new(name))


async def lease(database: Database, document: Document, lease_s: float = 60) -> Lease:
    taken = await SqlLeases(database, lease_s=lease_s).take(Queued("t", document.id, document.generation))
    assert taken
    return taken


async def count(database: Database, collection: str = "default") -> tuple[int, int]:
    found = await SqlCollections(database).find("t", collection)
    return found.document_count, found.chunk_count


async def test_however_many_processes_start_the_schema_is_made_once(database_url: str):
    async with AsyncExitStack() as stack:
        starting = [await stack.enter_async_context(connect(database_url)) for _ in range(8)]

        await asyncio.gather(*(migrate(one, MIGRATIONS) for one in starting))

        assert (await add(starting[0])).state is State.QUEUED


async def test_equal_uploads_at_once_are_one_document_and_nobodys_error(database: Database):
    collection = await SqlCollections(database).find("t", "default")
    documents = SqlDocuments(database)

    added = await asyncio.gather(*(documents.add(collection, new()) for _ in range(12)))

    assert len({document.id for document in added}) == 1
    assert await count(database) == (1, 0)


async def test_uploads_with_one_key_at_once_are_one_document(database: Database):
    collection = await SqlCollections(database).find("t", "default")
    documents = SqlDocuments(database)

    added = await asyncio.gather(*(documents.add(collection, new(key="k")) for _ in range(12)))
    later = await documents.add(collection, new(key="k"))

    assert {document.id for document in added} == {later.id}
    assert await count(database) == (1, 0)


async def test_of_different_uploads_with_one_key_at_once_one_is_taken(database: Database):
    collection = await SqlCollections(database).find("t", "default")
    documents = SqlDocuments(database)

    added = await asyncio.gather(
        *(documents.add(collection, new(digit=digit, key="k")) for digit in "0123456789"), return_exceptions=True
    )

    assert sorted(type(each).__name__ for each in added) == ["AlreadyExists"] * 9 + ["Document"]
    assert await count(database) == (1, 0)


@pytest.mark.parametrize("other", [new("b", key="k"), new(digit="1", key="k")])
async def test_a_key_that_was_used_for_something_else_is_refused(database: Database, other: NewDocument):
    collections = SqlCollections(database)
    collection, elsewhere = await collections.find("t", "default"), await collections.create("t", "elsewhere")
    documents = SqlDocuments(database)
    await documents.add(collection, new(key="k"))

    for place, upload in ((collection, other), (elsewhere, new(key="k"))):
        with pytest.raises(AlreadyExists, match="choose a new key"):
            await documents.add(place, upload)
    assert await count(database) == (1, 0)


async def test_a_key_is_its_tenants_own(database: Database):
    collections, documents = SqlCollections(database), SqlDocuments(database)

    one = await documents.add(await collections.find("t", "default"), new(key="k"))
    other = await documents.add(await collections.find("u", "default"), new("b", key="k"))

    assert one.id != other.id


async def test_an_equal_document_that_was_there_before_is_what_a_key_stands_for(database: Database):
    collection, documents = await SqlCollections(database).find("t", "default"), SqlDocuments(database)
    there = await documents.add(collection, new())

    keyed = await documents.add(collection, new(key="k"))

    assert keyed.id == there.id
    with pytest.raises(AlreadyExists):
        await documents.add(collection, new("b", key="k"))


async def test_a_key_does_not_bring_a_deleted_document_back(database: Database):
    collection, documents = await SqlCollections(database).find("t", "default"), SqlDocuments(database)
    there = await documents.add(collection, new(key="k"))
    await documents.hide("t", there.id)

    with pytest.raises(FailedPrecondition, match="is deleted"):
        await documents.add(collection, new(key="k"))


async def test_a_key_is_forgotten_after_its_time(database: Database):
    collection, documents = await SqlCollections(database).find("t", "default"), SqlDocuments(database)
    await documents.add(collection, new(key="k"))

    await SqlChores(database).forget_upload_keys(older_than_s=60)
    with pytest.raises(AlreadyExists):
        await documents.add(collection, new("b", key="k"))
    await SqlChores(database).forget_upload_keys(older_than_s=0)

    assert (await documents.add(collection, new("b", key="k"))).name == "b"


async def test_default_is_made_once_however_many_ask_for_it_first(database: Database):
    found = await asyncio.gather(*(SqlCollections(database).find("t", "default") for _ in range(12)))

    assert len({collection.id for collection in found}) == 1


async def test_many_documents_of_a_collection_finish_at_once_and_all_are_counted(database: Database):
    documents = [await add(database, f"{n}") for n in range(20)]
    leases = SqlLeases(database, lease_s=60)

    async def process(document: Document) -> None:
        await leases.finish(await lease(database, document), RESULT)

    await asyncio.gather(*map(process, documents))

    assert await count(database) == (20, 60)


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_comes_together_nothing_deadlocks_and_the_counts_are_right(database: Database, seed: int):
    chance = random.Random(seed)  # noqa: S311 no secret
    documents = [await add(database, f"{n}") for n in range(30)]
    store, leases = SqlDocuments(database), SqlLeases(database, lease_s=60)
    held = {document.id: await lease(database, document) for document in documents}

    async def finish(document: Document) -> None:
        with suppress(LeaseLost):
            await leases.finish(held[document.id], RESULT)

    async def reprocess(document: Document) -> None:
        with suppress(NotFound):
            await store.reprocess("t", document.id)

    work = [
        *(finish(document) for document in documents),
        *(store.hide("t", document.id) for document in chance.sample(documents, 10)),
        *(reprocess(document) for document in chance.sample(documents, 10)),
        *(leases.renew(dict.fromkeys(chance.sample(list(held.values()), 10), 0.5)) for _ in range(5)),
        SqlChores(database).requeue(),
    ]
    chance.shuffle(work)
    await asyncio.gather(*work)

    collection = await SqlCollections(database).find("t", "default")
    seen = await store.page(collection, state=None, before=None, limit=100)
    assert collection.document_count == len(seen) == 20
    assert collection.chunk_count == sum(document.chunk_count for document in seen)


async def test_a_collection_deleted_while_its_documents_come_and_finish_keeps_none_of_them(database: Database):
    collections, store, leases = SqlCollections(database), SqlDocuments(database), SqlLeases(database, lease_s=60)
    collection = await collections.create("t", "doomed")
    documents = [await store.add(collection, new(f"{n}")) for n in range(15)]
    held = [await lease(database, document) for document in documents]

    async def upload(number: int) -> str | None:
        try:
            return (await store.add(collection, new(f"late-{number}"))).id
        except NotFound:
            return None

    outcomes = await asyncio.gather(
        *(leases.finish(one, RESULT) for one in held),
        collections.hide("t", "doomed"),
        *(upload(number) for number in range(15)),
        return_exceptions=True,
    )

    unforeseen = [one for one in outcomes if isinstance(one, Exception) and not isinstance(one, LeaseLost)]
    assert unforeseen == []
    late = [one for one in outcomes if isinstance(one, str)]
    left = await store.read_many([document.id for document in documents] + late)
    assert {document.state for document in left} == {State.DELETING}


async def test_the_same_name_is_another_collection_and_the_old_ones_documents_stay_out_of_it(database: Database):
    collections, store = SqlCollections(database), SqlDocuments(database)
    old = await collections.create("t", "twice")
    held = await lease(database, await store.add(old, new()))
    await collections.hide("t", "twice")
    again = await collections.create("t", "twice")

    with pytest.raises(LeaseLost):
        await SqlLeases(database, lease_s=60).finish(held, RESULT)

    assert again.id != old.id
    assert await count(database, "twice") == (0, 0)
    with pytest.raises(NotFound):
        await store.add(old, new("late"))


async def test_two_sweepers_queue_what_was_lost_once(database: Database):
    for number in range(10):
        await lease(database, await add(database, f"{number}"), lease_s=0)

    requeued = await asyncio.gather(*(SqlChores(database).requeue() for _ in range(4)))

    assert sum(requeued) == 10


async def test_what_was_given_up_is_listed_and_queued_again_once(database: Database):
    leases, store = SqlLeases(database, lease_s=60), SqlDocuments(database)
    broken = [await add(database, f"{number}") for number in range(5)]
    for document in broken:
        await leases.fail(await lease(database, document), BROKEN)
    await add(database, "fine")

    listed = await store.failed(before=None, limit=10)
    replayed = await asyncio.gather(*(store.retry_failed([], limit=100) for _ in range(3)))

    assert [document.id for document in listed] == sorted((one.id for one in broken), reverse=True)
    assert listed[0].failure == BROKEN
    assert sum(replayed) == 5
    assert await store.failed(before=None, limit=10) == []
    assert (await store.get("t", broken[0].id)).generation == 2


async def test_each_change_is_told_in_its_own_transaction_and_a_failure_to_the_dead_letters_too(database: Database):
    store, leases = SqlDocuments(database, announced), SqlLeases(database, lease_s=60, announce=announced)
    collection = await SqlCollections(database).find("t", "default")
    document = await store.add(collection, new())
    taken = await leases.take(Queued("t", document.id, 1))
    assert taken
    await leases.fail(taken, BROKEN)
    await store.hide("t", document.id)

    async with database.read() as connection:
        rows = (await connection.execute(select(outbox).order_by(outbox.c.position))).all()
    changes = [DocumentChanged.parse(row.payload) for row in rows if row.topic == CHANGED_TOPIC]
    (letter,) = [DocumentDeadLettered.parse(row.payload) for row in rows if row.topic == DEAD_LETTER_TOPIC]
    assert [change.document.state for change in changes] == [
        DocumentState.QUEUED,
        DocumentState.PROCESSING,
        DocumentState.FAILED,
        DocumentState.DELETING,
    ]
    assert {row.key for row in rows} == {document.id}
    assert (letter.tenant, letter.document.attempts, letter.document.error.code) == ("t", 1, "broken")


async def test_a_lease_goes_to_one_of_many_on_every_round(database: Database):
    document = await add(database)
    leases = SqlLeases(database, lease_s=0)

    for _ in range(5):
        taken = await asyncio.gather(*(leases.take(Queued("t", document.id, 1)) for _ in range(6)))
        # A lease of no length is over at once: each may be taken over, but no two hold it together.
        holders = await leases.renew({one: 0.1 for one in taken if one})
        assert len(holders) <= 1


async def test_postgres_that_hangs_or_restarts_is_unavailable_and_then_back(tmp_path, monkeypatch):
    from tests.servers import running  # noqa: PLC0415 this test's own server

    monkeypatch.setattr("ragmesh.storage.database.COMMAND_S", 1.0)
    async with running("postgres", tmp_path / "postgres") as server, connect(server.url) as database:
        await migrate(database, MIGRATIONS)
        await add(database)

        server.pause()
        with pytest.raises(Unavailable):
            await add(database, "hung")
        server.resume()
        await add(database, "after the hang")

        await server.kill()
        with pytest.raises(Unavailable):
            await add(database, "away")
        await server.start()
        await add(database, "after the restart")

        async with database.read() as connection:
            assert (await connection.scalar(text("SELECT count(*) FROM documents"))) >= 3
