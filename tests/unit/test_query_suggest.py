"""Suggested questions."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from ragmesh.chunk import Chunk
from svc_query.questions import questions_about
from svc_query.retrieve import Retriever, Search
from svc_query.suggest import OfAnswer, OfDocument, Suggester, Wish
from tests.query_fakes import TENANT, FewChunks, LetterEmbedder, OneCollection, passage

TOWER = passage(
    "The Eiffel Tower is a lattice tower in Paris. In 1889 the company of Gustave Eiffel completed it.",
    document="tower",
)
TYRES = passage("Change to winter tyres in October.", document="handbook", headings=("Cars", "Winter tyres"))
HAN = passage("埃菲尔铁塔是一座铁塔。它位于《战神广场》旁边。", document="铁塔", headings=("历史背景",))


@asynccontextmanager
async def suggester(chunks: Sequence[Chunk]) -> AsyncIterator[tuple[Suggester, Retriever]]:
    embedder = LetterEmbedder()
    searcher = FewChunks(chunks)
    documents = OneCollection(searcher)
    async with Retriever(embedder, searcher, documents) as retriever:
        yield Suggester(retriever, searcher, documents), retriever


def wish(count: int = 3, **basis: object) -> Wish:
    return Wish(TENANT, "default", count, **basis)  # type: ignore[arg-type] by name


def test_a_definition_becomes_a_question():
    assert questions_about(TOWER)[0] == "What is the Eiffel Tower?"


def test_a_heading_becomes_a_question():
    assert questions_about(TYRES)[0] == "What should I know about winter tyres?"


def test_a_heading_that_is_a_question_stays_one():
    assert questions_about(passage("Call us.", headings=("Who helps me?",)))[0] == "Who helps me?"


def test_a_name_and_a_year_become_a_question():
    assert "What happened with Gustave Eiffel in 1889?" in questions_about(TOWER)


def test_chinese_passages_are_asked_about_in_chinese():
    assert questions_about(HAN) == [
        "埃菲尔铁塔是什么？",
        "关于“历史背景”，文档是怎么说的？",
        "文中提到的“战神广场”是什么？",
        "“铁塔”主要讲了什么？",
    ]


def test_a_sentence_that_names_nothing_defines_nothing():
    vague = passage("It is a tower. This is the end. There was a time. He was one of many.")

    assert not any(
        question.startswith(("What is it", "What is this", "What was")) for question in questions_about(vague)
    )


async def test_documents_take_turns():
    async with suggester([TOWER, passage("The Lift is a machine.", document="tower", ordinal=1), TYRES]) as (it, _):
        questions = await it.suggest(wish(2))

    assert questions == ["What is the Eiffel Tower?", "What should I know about winter tyres?"]


async def test_the_same_is_asked_once_and_suggestions_repeat():
    copy = passage(TOWER.text, document="copy")
    async with suggester([TOWER, copy]) as (it, _):
        questions = await it.suggest(wish(10))
        again = await it.suggest(wish(10))

    assert len(set(questions)) == len(questions)
    assert questions.count("What is the Eiffel Tower?") == 1
    assert questions == again


async def test_questions_about_a_document_are_about_that_document():
    async with suggester([TOWER, TYRES]) as (it, _):
        assert await it.suggest(wish(1, basis=OfDocument("handbook"))) == ["What should I know about winter tyres?"]


async def test_questions_after_an_answer_come_from_what_it_was_about():
    many = [passage(f"The Filler is a thing number {i}.", document=f"filler{i}") for i in range(20)]
    async with suggester([*many, TYRES]) as (it, _):
        questions = await it.suggest(wish(1, basis=OfAnswer("Put winter tyres on your car in October.")))

    assert questions == ["What should I know about winter tyres?"]


async def test_a_question_is_offered_only_if_a_search_finds_its_passage():
    crowd = [passage("The Gadget is a thing. " * (9 - i), document=f"crowd{i}") for i in range(8)]
    async with suggester(crowd) as (it, retriever):
        for question in await it.suggest(wish(10)):
            assert (await retriever.retrieve(Search(TENANT, "default", question, 5))).hits


async def test_an_empty_collection_suggests_nothing():
    async with suggester([]) as (it, _):
        assert await it.suggest(wish()) == []
