"""The ledger of the chaos runs can fail: each broken promise is told, and nothing else is."""

import pytest

from chaos.ledger import Hit, Ledger, Record, Seen, Wrong


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


def accept(ledger: Ledger, *, tenant: str = "us", collection: str = "docs", lines: int = 1) -> Record:
    record = ledger.plan(tenant, collection, lines=lines)
    ledger.accepted(record, f"id-{record.marker}", is_certain=True)
    return record


def hit(record: Record, *, ordinal: int = 0, document_id: str = "") -> Hit:
    document_id = document_id or record.id
    line = record.text.splitlines()[ordinal]
    return Hit(document_id, f"{document_id}:1:{ordinal}", start=ordinal * 1000, text=line)


def seen(record: Record, *, state: str = "READY", document_id: str = "", reason: str = "") -> Seen:
    return Seen(document_id or record.id, record.name, state, 1, 1, reason)


def wrongs(ledger: Ledger) -> list[Wrong]:
    return [violation.wrong for violation in ledger.violations]


def test_a_mesh_that_keeps_its_word_is_not_accused(ledger):
    kept, long, gone = accept(ledger), accept(ledger, lines=3), accept(ledger)
    gone.is_deleting, gone.deleted_at = True, 10.0

    ledger.retrieved("us", "docs", [hit(kept), hit(long), hit(long, ordinal=2)], began=11.0, of=kept)
    ledger.retrieved("us", "docs", [hit(gone)], began=9.9)
    ledger.settled("us", "docs", [seen(kept), seen(long)])
    ledger.read_whole(long, [hit(long, ordinal=number) for number in range(3)], chunk_count=3)

    assert ledger.violations == []


def test_an_accepted_document_that_is_gone_is_lost(ledger):
    accept(ledger)

    ledger.settled("us", "docs", [])

    assert wrongs(ledger) == [Wrong.LOST]


def test_an_accepted_document_that_has_failed_is_lost_and_the_reason_told(ledger):
    record = accept(ledger)

    ledger.settled("us", "docs", [seen(record, state="FAILED", reason="Triton was away")])

    assert wrongs(ledger) == [Wrong.LOST]
    assert "Triton was away" in ledger.violations[0].detail


@pytest.mark.parametrize("state", ["QUEUED", "PROCESSING", "DELETING"])
def test_a_document_that_never_becomes_ready_is_stuck(ledger, state):
    record = accept(ledger)

    ledger.settled("us", "docs", [seen(record, state=state)])

    assert wrongs(ledger) == [Wrong.STUCK]


def test_a_ready_document_that_a_search_does_not_find_is_lost(ledger):
    record = accept(ledger)

    ledger.retrieved("us", "docs", [], began=1.0, of=record)

    assert wrongs(ledger) == [Wrong.LOST]


def test_a_passage_shown_to_a_search_that_began_after_the_deletion_is_a_zombie(ledger):
    record = accept(ledger)
    record.is_deleting, record.deleted_at = True, 10.0

    ledger.retrieved("us", "docs", [hit(record)], began=10.001)

    assert wrongs(ledger) == [Wrong.ZOMBIE]


def test_a_deleted_document_that_is_listed_or_read_is_a_zombie(ledger):
    record = accept(ledger)
    record.is_deleting, record.deleted_at = True, 10.0

    ledger.settled("us", "docs", [seen(record)])
    ledger.found_after_delete(record)

    assert wrongs(ledger) == [Wrong.ZOMBIE, Wrong.ZOMBIE]


def test_the_same_place_twice_in_one_search_is_a_duplicate(ledger):
    record = accept(ledger)

    ledger.retrieved("us", "docs", [hit(record), hit(record)], began=1.0)

    assert wrongs(ledger) == [Wrong.DUPLICATE]


def test_equal_uploads_that_became_two_documents_are_a_duplicate(ledger):
    record = accept(ledger)

    ledger.accepted(record, "another", is_certain=False)

    assert wrongs(ledger) == [Wrong.DUPLICATE]


def test_a_document_that_is_kept_twice_is_a_duplicate_though_one_was_never_acknowledged(ledger):
    record = accept(ledger)

    ledger.settled("us", "docs", [seen(record), seen(record, document_id="another")])
    ledger.retrieved("us", "docs", [hit(record, document_id="another")], began=1.0)

    assert wrongs(ledger) == [Wrong.DUPLICATE, Wrong.DUPLICATE]


def test_more_chunks_than_the_document_has_are_duplicates(ledger):
    record = accept(ledger)

    ledger.read_whole(record, [hit(record), hit(record)], chunk_count=1)

    assert wrongs(ledger) == [Wrong.DUPLICATE]


def test_a_chunk_that_is_missing_is_told_with_its_lines(ledger):
    record = accept(ledger, lines=3)

    ledger.read_whole(record, [hit(record), hit(record, ordinal=2)], chunk_count=3)

    assert wrongs(ledger) == [Wrong.LOST, Wrong.LOST]
    assert "[1]" in ledger.violations[1].detail


@pytest.mark.parametrize(("tenant", "collection"), [("them", "docs"), ("us", "drafts")])
def test_text_of_another_tenant_or_collection_is_foreign(ledger, tenant, collection):
    record = accept(ledger, tenant=tenant, collection=collection)

    ledger.retrieved("us", "docs", [hit(record)], began=1.0)

    assert wrongs(ledger) == [Wrong.FOREIGN]


def test_text_that_nobody_uploaded_is_foreign(ledger):
    ledger.retrieved("us", "docs", [Hit("x", "x:1:0", 0, "an invented passage")], began=1.0)

    assert wrongs(ledger) == [Wrong.FOREIGN]


def test_a_document_in_the_list_of_another_tenant_is_foreign(ledger):
    record = accept(ledger, tenant="them")

    ledger.settled("us", "docs", [seen(record)])

    assert wrongs(ledger) == [Wrong.FOREIGN]


def test_violations_are_counted_by_kind(ledger):
    accept(ledger)
    accept(ledger)

    ledger.settled("us", "docs", [])

    assert ledger.count() == {Wrong.LOST: 2}
