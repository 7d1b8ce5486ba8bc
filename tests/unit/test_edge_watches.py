"""Documents followed by many: one call for each document, however many readers it has, and nothing told twice."""

import asyncio

import pytest

from ragmesh import errors
from tests.edge import NOON, an_edge, events_of

EVENTS = "/v1/documents/d/events"
PROCESSING, READY = (str(int(NOON.timestamp() + second) * 1_000_000) for second in (0, 1))


async def test_all_readers_of_a_document_share_one_call(edge):
    edge.documents.ready.clear()
    readers = [await edge.client.get(EVENTS) for _ in range(50)]

    edge.documents.ready.set()
    told = await asyncio.gather(*map(events_of, readers))

    assert edge.documents.watched == ["d"]
    assert [[data["state"] for _, data in events] for events in told] == [["PROCESSING", "READY"]] * 50


async def test_the_last_reader_that_leaves_ends_the_call(edge):
    edge.documents.ready.clear()
    one, other = [await edge.client.get(EVENTS) for _ in range(2)]

    one.close()
    await asyncio.sleep(0.05)
    left_with_a_reader = edge.documents.watches_left
    other.close()

    assert left_with_a_reader == 0
    async with asyncio.timeout(5):
        while not edge.documents.watches_left:  # noqa: ASYNC110 a fake tells it no better
            await asyncio.sleep(0.01)


async def test_documents_beyond_the_limit_are_not_followed_and_those_followed_have_room_for_more_readers():
    async with an_edge(watches_max=1) as edge:
        edge.documents.ready.clear()
        followed = await edge.client.get(EVENTS)

        response, problem = await edge.json("GET", "/v1/documents/e/events")
        again = await edge.client.get(EVENTS)

        assert (response.status, "1 documents" in problem["detail"]) == (429, True)
        assert response.headers["Retry-After"] == "5"
        assert again.status == 200
        for open_one in (followed, again):
            open_one.close()


async def test_a_failure_reaches_every_reader(edge):
    edge.documents.error = errors.NotFound("there is no such document")

    answers = await asyncio.gather(*(edge.json("GET", EVENTS) for _ in range(5)))

    assert {(response.status, problem["detail"]) for response, problem in answers} == {
        (404, "there is no such document")
    }


async def test_a_reader_that_comes_back_is_told_only_what_is_new(edge):
    async with edge.client.get(EVENTS, headers={"Last-Event-ID": PROCESSING}) as response:
        text = await response.text()

    assert f"id: {READY}\nevent: document\n" in text
    assert "PROCESSING" not in text


async def test_a_reader_that_has_seen_the_end_is_told_not_to_come_back(edge):
    edge.documents.is_made = True

    async with edge.client.get(EVENTS, headers={"Last-Event-ID": READY}) as response:
        assert (response.status, await response.read()) == (204, b"")


@pytest.mark.parametrize("strange", ["abc", "-1", "9" * 40, ""])
async def test_an_event_id_from_elsewhere_is_as_none(edge, strange):
    async with edge.client.get(EVENTS, headers={"Last-Event-ID": strange}) as response:
        assert len(await events_of(response)) == 2


async def test_the_time_that_one_reader_gives_is_not_the_others(edge):
    edge.documents.ready.clear()
    hasty = await edge.client.get(EVENTS, headers={"x-request-timeout-ms": "150"})
    patient = await edge.client.get(EVENTS)

    hasty_events = await events_of(hasty)
    edge.documents.ready.set()

    assert hasty_events[-1][1]["code"] == "DEADLINE_EXCEEDED"
    assert (await events_of(patient))[-1][1]["state"] == "READY"
    assert edge.documents.watched == ["d"]
