"""Follow-up questions are searched for with what they lean on; others are left as they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svc_query.condense import QUERY_CHARS, Speaker, Turn, by_model, leans, words
from tests.query_fakes import ScriptedModel

HOTEL = "How much may a hotel cost a night?"
ASKED = [Turn(Speaker.USER, HOTEL), Turn(Speaker.ASSISTANT, "Up to 140 euros a night. [1]")]


@pytest.mark.parametrize(
    "question",
    [
        "And in London?",
        "What about New York?",
        "Why?",
        "How long does it take?",
        "Who approves that?",
        "Is breakfast included there?",
        "Does this hold for contractors too?",
        "那伦敦呢？",
        "它多少钱？",
        "为什么？",
        "还有别的例外吗？",
    ],
)
def test_a_question_that_leans_on_the_conversation_is_searched_for_with_the_one_before(question):
    assert words(question, ASKED) == f"{HOTEL} {question}"


@pytest.mark.parametrize(
    "question",
    [
        "When must receipts of a journey be handed in?",
        "Which expenses below 15 euros need receipts?",
        "Are there two engineers on call at any time?",
        "出差申请需要提前多少天提交审批？",
    ],
)
def test_a_question_that_stands_alone_is_left_as_it_is(question):
    assert words(question, ASKED) == question


def test_a_chain_of_follow_ups_leads_back_to_the_question_that_began_it():
    history = [*ASKED, Turn(Speaker.USER, "And in London?"), Turn(Speaker.ASSISTANT, "190 euros. [1]")]

    assert words("And in Zurich?", history) == f"{HOTEL} And in London? And in Zurich?"


def test_who_is_meant_by_a_pronoun_is_looked_for_in_the_last_answer():
    history = [Turn(Speaker.USER, "Who heads the platform?"), Turn(Speaker.ASSISTANT, "Tomasz Wilk. [1]")]

    assert words("When is he called?", history) == "Who heads the platform? Tomasz Wilk. [1] When is he called?"


def test_the_first_question_of_a_conversation_is_never_touched():
    assert words("And in London?", []) == "And in London?"


@given(
    st.text(max_size=300), st.lists(st.builds(Turn, st.sampled_from(Speaker), st.text(max_size=3000)), max_size=6)
)
def test_whatever_was_said_what_is_searched_for_ends_with_the_question_and_is_not_too_long(question, history):
    condensed = words(question, history)

    assert condensed == question or condensed.endswith(question.strip()[-QUERY_CHARS:])
    assert len(condensed) <= max(QUERY_CHARS, len(question))


async def test_a_model_may_rewrite_the_question_from_what_was_said():
    llm = ScriptedModel("How much may a hotel cost", " in London?")

    assert await by_model("And in London?", ASKED, llm) == "How much may a hotel cost in London?"
    assert HOTEL in llm.prompts[0][0].content


async def test_where_the_model_says_nothing_the_words_are_taken():
    assert await by_model("And in London?", ASKED, ScriptedModel("")) == f"{HOTEL} And in London?"


def test_a_question_without_words_of_its_own_leans():
    assert leans("?")
