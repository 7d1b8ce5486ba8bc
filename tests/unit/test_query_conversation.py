"""Turns on one stream: answered in the light of those before, and ended by the next."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from ragmesh.errors import DeadlineExceeded, InvalidArgument, MeshError, Unavailable
from ragmesh.inference.port import Sampling
from svc_query.answer import Question
from svc_query.condense import Speaker, Turn
from svc_query.conversation import CHARS_MAX, TURNS_MAX, Conversation, Superseded, bounded
from svc_query.events import Done, FinishReason, Sources, Token
from svc_query.retrieve import Search
from tests.query_fakes import TENANT


def turn(text: str, *history: Turn) -> Question:
    return Question(Search(TENANT, "default", text, top_k=4), Sampling(), history)


class Answering:
    """Answers each question with its own words, unless it is told to wait or to fail."""

    def __init__(self) -> None:
        self.asked: list[Question] = []
        self.never_ends = ""  # the question that is answered for ever
        self.fault: MeshError | None = None
        self.writing = asyncio.Event()
        self.closed = asyncio.Event()

    async def __call__(self, question: Question) -> AsyncGenerator:
        self.asked.append(question)
        try:
            yield Sources((), question.text)
            self.writing.set()
            if question.text == self.never_ends:
                await asyncio.Event().wait()
            if self.fault:
                raise self.fault
            yield Token(f"On {question.text}")
            yield Done(FinishReason.STOP)
        finally:
            self.closed.set()


class Turns:
    """Turns that a test sends when it wants."""

    def __init__(self, *turns: Question | MeshError | None) -> None:
        self.sent: asyncio.Queue[Question | MeshError | None] = asyncio.Queue()
        for each in turns:
            self.sent.put_nowait(each)

    async def __call__(self):
        while (each := await self.sent.get()) is not None:
            yield each


async def said(answering: Answering, turns: Turns) -> list:
    async with aclosing(Conversation(answering, idle_s=5).follow(turns())) as events:
        return [event async for event in events]


async def one_after_the_other(answering: Answering, *turns: Question | MeshError) -> list:
    """Each turn once the one before is answered."""
    first, *rest = turns
    sending, heard = Turns(first), []
    async with asyncio.timeout(5), aclosing(Conversation(answering, idle_s=5).follow(sending())) as events:
        async for event in events:
            heard.append(event)
            if isinstance(event, Done | MeshError):
                sending.sent.put_nowait(rest.pop(0) if rest else None)
    return heard


async def test_a_turn_is_answered_in_the_light_of_those_before():
    answering = Answering()

    await one_after_the_other(answering, turn("tea"), turn("and milk"))

    assert answering.asked[1].history == (Turn(Speaker.USER, "tea"), Turn(Speaker.ASSISTANT, "On tea"))


async def test_what_was_said_before_the_stream_comes_with_its_first_turn():
    answering = Answering()
    before = Turn(Speaker.USER, "coffee"), Turn(Speaker.ASSISTANT, "black")

    await one_after_the_other(answering, turn("tea", *before), turn("and milk"))

    assert [each.text for each in answering.asked[1].history] == ["coffee", "black", "tea", "On tea"]


async def test_a_new_turn_ends_the_running_one_which_is_said_and_forgotten():
    answering = Answering()
    answering.never_ends = "tea"
    turns = Turns(turn("tea"))
    heard = []
    async with asyncio.timeout(5), aclosing(Conversation(answering, idle_s=5).follow(turns())) as events:
        async for event in events:
            heard.append(event)
            if len(heard) == 1:
                await turns.sent.put(turn("coffee"))
                await turns.sent.put(None)

    assert isinstance(heard[1], Superseded)
    assert [type(event) for event in heard[2:]] == [Sources, Token, Done]
    assert answering.asked[1].history == ()


async def test_a_half_closed_stream_is_answered_to_its_end():
    assert [type(each) for each in await said(Answering(), Turns(turn("tea"), None))] == [Sources, Token, Done]


async def test_a_turn_that_fails_or_can_not_be_read_ends_alone():
    answering = Answering()
    answering.fault = Unavailable("the model is away")
    failed = await one_after_the_other(answering, turn("tea"), InvalidArgument("question is empty"))
    answering.fault = None

    assert [type(each) for each in failed] == [Sources, Unavailable, InvalidArgument]
    assert answering.asked[0].history == ()


async def test_who_leaves_the_stream_stops_the_answer():
    answering = Answering()
    answering.never_ends = "tea"
    async with aclosing(Conversation(answering, idle_s=5).follow(Turns(turn("tea"))())) as events:
        await anext(events)

    assert answering.closed.is_set()


async def test_a_stream_that_no_turn_comes_on_ends_for_others_wait_for_its_place():
    with pytest.raises(DeadlineExceeded, match="no turn came"):
        await anext(Conversation(Answering(), idle_s=0.01).follow(Turns()()))


def test_only_so_much_is_remembered_and_the_newest_of_it():
    many = [Turn(Speaker.USER, str(number)) for number in range(TURNS_MAX + 9)]
    long = [Turn(Speaker.USER, "x" * (CHARS_MAX // 2)) for _ in range(3)]

    assert bounded(many) == tuple(many[9:])
    assert bounded(long) == tuple(long[1:])
    assert bounded([]) == ()
