"""Answers and documents followed as they come: events, failures in the middle, readers that are slow or leave."""

import asyncio

from gateway import sse
from ragmesh import errors
from ragmesh.v1 import AnswerEvent, Token
from tests.edge import ANSWER, events_of


async def test_an_answer_in_one_piece(edge):
    response, body = await edge.json("POST", "/v1/collections/c/answer", json={"question": "Which tea?"})

    assert response.status == 200
    assert body["answer"] == "Jasmine tea. [1]"
    assert body["finish_reason"] == "stop"
    assert body["usage"] == {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
    assert [(each["marker"], each["page"], each["document_name"]) for each in body["citations"]] == [
        ("[1]", 2, "a.md")
    ]


async def test_an_answer_as_events(edge):
    async with edge.client.post("/v1/collections/c/answer", json={"question": "?", "stream": True}) as response:
        events = await events_of(response)

    assert [name for name, _ in events] == ["sources", "token", "token", "usage", "done"]
    assert events[1][1] == {"text": "Jasmine "}
    assert response.headers["Cache-Control"] == "no-cache, no-transform"
    assert response.headers["X-Accel-Buffering"] == "no"
    assert response.headers["x-request-id"]


async def test_a_failure_in_mid_stream_is_an_event_and_never_text(edge):
    edge.queries.events = [*ANSWER[:2], errors.Unavailable("the model is away")]

    async with edge.ask() as response:
        events = await events_of(response)

    assert events[-1] == ("error", {"code": "UNAVAILABLE", "message": "the model is away", "retriable": True})
    assert "away" not in "".join(data["text"] for name, data in events if name == "token")


async def test_a_fault_of_ours_in_mid_stream_is_an_event_that_leaks_nothing(edge, monkeypatch):
    def broken(_):
        raise LookupError("a secret")

    monkeypatch.setattr("gateway.routes.answer.messages.usage", broken)

    async with edge.ask() as response:
        events = await events_of(response)

    assert [name for name, _ in events] == ["sources", "token", "token", "error"]
    assert events[-1][1]["code"] == "INTERNAL"
    assert response.headers["x-request-id"] in events[-1][1]["message"]
    assert "secret" not in events[-1][1]["message"]


async def test_a_failure_before_the_first_event_has_its_status(edge):
    edge.queries.events = [errors.ResourceExhausted("32 answers are being written", retry_after_s=3)]

    async with edge.ask() as response:
        problem = await response.json(content_type=None)

    assert (response.status, response.headers["Retry-After"]) == (429, "3")
    assert problem["detail"] == "32 answers are being written"


async def test_a_stream_is_kept_alive_before_its_first_event_and_after_it(edge, monkeypatch):
    monkeypatch.setattr(sse, "HEARTBEAT_S", 0.02)

    for edge.queries.hold_at in (0, 1):
        edge.queries.hold.clear()
        async with edge.ask() as response:
            async for line in response.content:
                if line == b": ping\n":
                    edge.queries.hold.set()
                    break
            assert b"event: done" in await response.read()


async def test_a_reader_that_leaves_ends_the_call(edge):
    edge.queries.hold.clear()

    response = await edge.ask()
    await response.content.readline()
    response.close()

    await asyncio.wait_for(edge.queries.left.wait(), 5)


async def test_a_reader_that_leaves_before_the_first_event_ends_the_call(edge):
    edge.queries.hold_at = 0
    edge.queries.hold.clear()

    asking = asyncio.ensure_future(edge.ask(stream=False))
    await edge.queries.entered.wait()
    asking.cancel()

    await asyncio.wait_for(edge.queries.left.wait(), 5)


async def test_a_slow_reader_slows_the_answer_down_and_ends_it_by_leaving(edge):
    piece = AnswerEvent(token=Token(text="x" * 100_000))
    edge.queries.events = [piece] * 2000

    response = await edge.ask()
    sent = -1
    while sent < edge.queries.sent:
        sent = edge.queries.sent
        await asyncio.sleep(0.3)  # long enough for hundreds of pieces, if nothing held them back

    assert sent < len(edge.queries.events) / 2
    response.close()
    await asyncio.wait_for(edge.queries.left.wait(), 5)


async def test_the_life_of_a_document_as_events(edge):
    async with edge.client.get("/v1/documents/d/events") as response:
        events = await events_of(response)

    assert [(name, data["state"]) for name, data in events] == [("document", "PROCESSING"), ("document", "READY")]
