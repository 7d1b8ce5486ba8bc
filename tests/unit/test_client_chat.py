"""A conversation of the SDK, before a service that remembers what it was asked."""

import asyncio
from contextlib import aclosing

import pytest

import ragmesh
from ragmesh.errors import Aborted, DeadlineExceeded, Unavailable
from tests.sdk_services import serving


@pytest.fixture
async def served():
    async with serving() as services:
        yield services


@pytest.fixture
async def chat(served):
    async with ragmesh.Client(served.target) as client, client.chat() as conversation:
        yield conversation


async def text_of(events) -> str:
    return "".join([event.token.text async for event in events if event.token]).strip()


async def test_all_questions_of_a_conversation_are_asked_on_one_stream(served, chat):
    assert await text_of(chat.ask("When?")) == "answer to When?"
    assert await text_of(chat.ask("And on Sundays?")) == "answer to And on Sundays?"

    assert served.query.streams == [[("When?", []), ("And on Sundays?", [])]]
    assert [turn.text.strip() for turn in chat.history] == [
        "When?", "answer to When?", "And on Sundays?", "answer to And on Sundays?",
    ]  # fmt: skip


async def test_leaving_an_answer_stops_it_and_the_conversation_goes_on_with_what_was_said(served, chat):
    await text_of(chat.ask("When?"))
    async with aclosing(chat.ask("Tell everything.")) as events:
        await anext(events)
    async with asyncio.timeout(5):
        await served.query.cancelled.wait()

    await text_of(chat.ask("And on Sundays?"))

    assert served.query.streams[1] == [("And on Sundays?", ["When?", "answer to When? "])]


async def test_a_stream_that_the_server_ended_is_replaced_unnoticed(served, chat):
    await text_of(chat.ask("When?"))
    with pytest.raises(Unavailable):
        await text_of(chat.ask("End."))

    assert await text_of(chat.ask("Still there?")) == "answer to Still there?"


async def test_a_new_question_ends_the_answer_before_it(chat):
    first = chat.ask("Tell everything.")
    await anext(first)
    reading = asyncio.create_task(text_of(first))

    assert await text_of(chat.ask("When?")) == "answer to When?"
    with pytest.raises(Aborted, match="another question"):
        await reading


async def test_one_answer_may_take_so_long_and_no_longer(served):
    async with ragmesh.Client(served.target) as client, client.chat(timeout=0.05) as chat:
        with pytest.raises(DeadlineExceeded, match=r"0\.05 s"):
            await text_of(chat.ask("Tell everything."))


async def test_only_as_much_is_told_anew_as_the_mesh_takes(served):
    turns = [
        ragmesh.Turn(speaker=speaker, text=f"{number} " + "x" * 1000)
        for number in range(100)
        for speaker in (ragmesh.Speaker.USER, ragmesh.Speaker.ASSISTANT)
    ]

    async with ragmesh.Client(served.target) as client, client.chat(history=turns) as chat:
        await text_of(chat.ask("When?"))

    ((_, told),) = served.query.streams[0]
    assert sum(map(len, told)) <= 65_536
    assert len(told) == 64, "the newest, from a question on"
    assert told[-1].startswith("99 ")
