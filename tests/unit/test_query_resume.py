"""An answer that somebody else began goes on only as the same answer."""

from collections.abc import AsyncGenerator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragmesh.errors import Unavailable
from svc_query.codec import decode, encode
from svc_query.events import AnswerEvent, Citation, Done, FinishReason, Sources, Timings, Token, Usage
from svc_query.resume import resumed
from tests.query_fakes import passage

SOURCES = Sources((Citation(1, passage("塔\x00", headings=("a",), metadata={"k": "v"}), 0.1 + 0.2),))
DONE = Done(FinishReason.STOP, SOURCES.citations, Timings(total_s=1 / 3))


async def saying(events: Sequence[AnswerEvent]) -> AsyncGenerator[AnswerEvent, None]:
    for event in events:
        yield event


async def rest(heard: Sequence[AnswerEvent], anew: Sequence[AnswerEvent]) -> list[AnswerEvent]:
    return [event async for event in resumed(heard, saying(anew))]


def cut(text: str, places: Sequence[int]) -> list[Token]:
    edges = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [Token(text[a:b]) for a, b in pairwise(edges)]


cuts = st.lists(st.integers(0, 100), max_size=6)


@given(text=st.text(max_size=30), then=cuts, now=cuts, heard=st.integers(0, 8))
async def test_however_both_are_cut_the_reader_has_the_text_once(
    text: str, then: list[int], now: list[int], heard: int
):
    before = [SOURCES, *cut(text, then), Usage(1, 2)][:heard]

    after = await rest(before, [SOURCES, *cut(text, now), Usage(1, 2), DONE])

    whole = [*before, *after]
    assert "".join(event.text for event in whole if isinstance(event, Token)) == text
    assert [type(event) for event in whole if not isinstance(event, Token)] == [Sources, Usage, Done]


async def test_nothing_heard_is_nothing_left_out():
    events = [SOURCES, Token("a"), Usage(1, 2), DONE]

    assert await rest([], events) == events


async def test_scores_may_differ_where_passages_are_the_same():
    (citation,) = SOURCES.citations
    again = Sources((Citation(1, citation.chunk, citation.score + 1e-7),))

    assert await rest([SOURCES], [again, Token("a")]) == [Token("a")]


@pytest.mark.parametrize(
    ("heard", "anew"),
    [
        ([SOURCES], [Sources(())]),
        ([SOURCES, Token("It is 3")], [SOURCES, Token("It is 4")]),
        ([Token("long text")], [Token("long"), Token("er")]),
        ([Token("long text")], [Token("long"), DONE]),
    ],
)
async def test_another_answer_is_never_stuck_onto_the_one_that_was_shown(
    heard: list[AnswerEvent], anew: list[AnswerEvent]
):
    with pytest.raises(Unavailable, match="ask again"):
        await rest(heard, anew)


@pytest.mark.parametrize("event", [SOURCES, Sources(()), Token("\x00\n 塔"), Token(""), Usage(3, 4), DONE])
def test_an_event_is_the_same_after_its_journey(event: AnswerEvent):
    assert decode(encode(event)) == event
