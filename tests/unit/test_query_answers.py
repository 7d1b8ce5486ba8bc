"""What an answer is, and how it is shared."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace

import pytest
from prometheus_client import REGISTRY

from ragmesh.chunk import Chunk
from ragmesh.errors import DeadlineExceeded, NotFound, ResourceExhausted, Unavailable
from ragmesh.filter import Equals
from ragmesh.inference.port import Sampling
from ragmesh.rpc.config import Live
from ragmesh.rpc.config.port import Snapshot
from ragmesh.settings import Settings
from ragmesh.storage.cache.memory import MemoryCache
from svc_query.answer import Question
from svc_query.answers import Answers
from svc_query.events import AnswerEvent, Done, FinishReason, Sources, Token, Usage
from svc_query.flight import Unshared
from svc_query.lookups import CachedEmbedder
from svc_query.retrieve import Retriever, Search
from tests.query_fakes import TENANT, FewChunks, LetterEmbedder, OneCollection, ScriptedModel, passage

TOWER = passage("The tower is 330 metres tall. It was completed in March 1889.", document="tower")
BRIDGE = passage("The bridge carries two railway tracks over the river.", document="bridge")
HAN = passage("铁塔高三百三十米。它于1889年3月建成。", document="铁塔")
ASKED = "When was the tower completed?"


def question(text: str = ASKED, **sampling: object) -> Question:
    return Question(Search(TENANT, "default", text, top_k=4), Sampling(**sampling))  # type: ignore[arg-type] by name


@dataclass
class House:
    answers: Answers
    llm: ScriptedModel
    documents: OneCollection
    embedder: LetterEmbedder
    live: Live

    async def ask(self, question: Question) -> list[AnswerEvent]:
        async with aclosing(self.answers.ask(question)) as events:
            return [event async for event in events]


@asynccontextmanager
async def house(
    llm: ScriptedModel,
    chunks: Sequence[Chunk] = (TOWER, BRIDGE),
    *,
    in_flight: int = 4,
    timeout_s: float = 10,
    embedder: str = "letters",
) -> AsyncIterator[House]:
    letters, cache = LetterEmbedder(embedder), MemoryCache(1_000_000)
    searcher = FewChunks(chunks)
    documents = OneCollection(searcher)
    async with Retriever(CachedEmbedder(letters, cache, 60), searcher, documents) as retriever:
        live = Live(Settings(answers_max=in_flight, answer_timeout_s=timeout_s))
        answers = Answers(
            lambda: retriever,
            lambda: llm,
            documents=documents,
            cache=cache,
            shared=Unshared(),
            live=live,
        )
        yield House(answers, llm, documents, letters, live)


def text_of(events: Sequence[AnswerEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, Token))


async def test_an_answer_is_sources_then_tokens_then_usage_then_done():
    async with house(ScriptedModel("It was completed", " in March", " 1889.")) as mesh:
        events = await mesh.ask(question())

    assert [type(event) for event in events] == [Sources, Token, Token, Token, Token, Usage, Done]
    assert text_of(events) == "It was completed in March 1889. [1]"
    assert events[-2] == Usage(7, 3)


async def test_done_names_the_citations_that_stand_in_the_text():
    async with house(ScriptedModel("Trains cross [2]. It was completed in March 1889 [1]. Trains [2].")) as mesh:
        sources, *_, done = await mesh.ask(question())

    assert isinstance(sources, Sources)
    assert isinstance(done, Done)
    assert [citation.chunk.document_id for citation in sources.citations] == ["tower", "bridge"]
    assert [citation.marker for citation in done.citations] == ["[2]", "[1]"]
    assert done.finish_reason is FinishReason.STOP
    assert done.timings.total_s >= done.timings.generate_s > 0


@pytest.mark.parametrize(("asked", "says"), [(ASKED, "Nothing in these documents"), ("铁塔多高？", "没有找到")])
async def test_where_nothing_is_found_the_answer_says_so_and_no_model_is_asked(asked: str, says: str):
    async with house(ScriptedModel("invented"), chunks=()) as mesh:
        events = await mesh.ask(question(asked))

    assert events[0] == Sources((), asked)
    assert says in text_of(events)
    assert isinstance(events[-1], Done)
    assert events[-1].finish_reason is FinishReason.NOT_FOUND
    assert mesh.llm.prompts == []


async def test_a_text_that_no_passage_supports_is_followed_by_the_closest_passage():
    async with house(ScriptedModel("It was built by wolves in Norway.")) as mesh:
        events = await mesh.ask(question())

    wrote, _, quoted = text_of(events).partition("\n\n")
    assert wrote == "It was built by wolves in Norway."
    assert quoted.startswith("This could not be traced to the documents.")
    assert quoted.endswith("It was completed in March 1889. [1]")
    assert isinstance(events[-1], Done)
    assert [citation.marker for citation in events[-1].citations] == ["[1]"]


@pytest.mark.parametrize(
    ("changes", "sampling"),
    [({"grounded": "false"}, {}), ({}, {"stop": ("\n",)})],
    ids=["where a mesh wants the text alone", "where the asker says how it ends"],
)
async def test_nothing_is_quoted_behind_a_text(changes, sampling):
    async with house(ScriptedModel("It was built by wolves.")) as mesh:
        await mesh.live.take(Snapshot(1, changes))
        events = await mesh.ask(question(**sampling))

    assert text_of(events) == "It was built by wolves."


async def test_marks_that_name_no_source_are_removed_and_counted():
    before = REGISTRY.get_sample_value("ragmesh_citations_removed_total") or 0
    async with house(ScriptedModel("It was completed in March 1889 [7]. Trains [99] cross [2].")) as mesh:
        events = await mesh.ask(question())

    assert text_of(events) == "It was completed in March 1889. [1] Trains cross [2]."
    assert REGISTRY.get_sample_value("ragmesh_citations_removed_total") == before + 2


async def test_what_is_found_but_can_not_answer_is_shown_and_no_model_is_asked():
    llm = ScriptedModel("invented")
    async with house(llm, embedder="e5-small") as mesh:
        events = await mesh.ask(question("zzz qqq xxx?"))
        answered = await mesh.ask(question())

    sources, *_, done = events
    assert isinstance(sources, Sources)
    assert isinstance(done, Done)
    assert [citation.chunk.document_id for citation in sources.citations] == ["tower", "bridge"]
    assert text_of(events) == "Nothing in these documents answers this question."
    assert (done.finish_reason, done.citations) == (FinishReason.NOT_FOUND, ())
    assert isinstance(answered[-1], Done)
    assert answered[-1].finish_reason is FinishReason.STOP
    assert len(llm.prompts) == 1


async def test_neighbours_are_one_source():
    text = "The tower is 330 metres tall. It was completed in March 1889. It is green."
    first, second = (
        replace(TOWER, ordinal=n, start=a, end=b, text=text[a:b]) for n, a, b in ((0, 0, 61), (1, 30, 74))
    )
    async with house(ScriptedModel("It was completed in March 1889."), [first, second]) as mesh:
        events = await mesh.ask(question())

    assert isinstance(events[0], Sources)
    (source,) = events[0].citations
    assert (source.chunk.text, source.chunk.start, source.chunk.end) == (text, 0, 74)


async def test_a_model_that_does_not_speak_the_language_is_not_asked_but_passages_are_quoted():
    async with house(ScriptedModel("gibberish", languages="en"), chunks=[HAN, TOWER]) as mesh:
        events = await mesh.ask(question("铁塔高多少米？"))

    assert "不支持中文" in text_of(events)
    assert "铁塔高三百三十米。它于1889年3月建成。 [1]" in text_of(events)
    assert mesh.llm.prompts == []


async def test_the_question_comes_last_in_the_prompt_and_the_best_source_next_to_it():
    async with house(ScriptedModel("Yes.")) as mesh:
        await mesh.ask(question())

    content = mesh.llm.prompts[0][-1].content
    assert content.index("railway") < content.index("March 1889") < content.index(ASKED)


async def test_a_model_that_breaks_off_is_an_error_after_what_it_said():
    llm = ScriptedModel("It was", fault=Unavailable("gone"))
    async with house(llm) as mesh, aclosing(mesh.answers.ask(question())) as events:
        heard = [await anext(events), await anext(events)]
        with pytest.raises(Unavailable, match="gone"):
            await anext(events)

    assert [type(event) for event in heard] == [Sources, Token]


async def test_an_answer_that_is_left_stops_the_model():
    async with house(ScriptedModel("It was")) as mesh:
        mesh.llm.waits = True
        async with aclosing(mesh.answers.ask(question())) as events:
            await anext(events)
            await mesh.llm.writing.wait()

    assert mesh.llm.closed == 1


async def test_an_answer_that_takes_too_long_is_ended():
    async with house(ScriptedModel("It was"), timeout_s=0.05) as mesh:
        mesh.llm.waits = True
        with pytest.raises(DeadlineExceeded, match="longer than"):
            await mesh.ask(question())

    assert mesh.llm.closed == 1


async def test_an_unknown_collection_is_refused_before_anything_happens():
    async with house(ScriptedModel("x")) as mesh:
        with pytest.raises(NotFound):
            await mesh.ask(replace(question(), search=Search(TENANT, "elsewhere", "?", top_k=1)))

    assert mesh.embedder.embedded == []


async def test_the_same_question_is_answered_from_the_cache():
    async with house(ScriptedModel("It was completed in March 1889.")) as mesh:
        first = await mesh.ask(question())
        again = await mesh.ask(question(f"  {ASKED.replace(' ', '  ')}\n"))

    assert len(mesh.llm.prompts) == 1
    assert again[0] == first[0]
    assert text_of(again) == text_of(first)
    assert again[-2] == first[-2]
    assert isinstance(again[-1], Done)
    assert isinstance(first[-1], Done)
    assert again[-1].citations == first[-1].citations
    assert again[-1].timings.generate_s == 0


@pytest.mark.parametrize(
    "other",
    [
        question("Who completed the tower?"),
        question(max_tokens=9),
        question(seed=4),
        replace(question(), search=replace(question().search, tenant="other")),
        replace(question(), search=replace(question().search, top_k=1)),
        replace(question(), search=replace(question().search, filter=(Equals("document_id", "tower"),))),
    ],
)
async def test_whatever_may_change_the_answer_is_another_question(other: Question):
    async with house(ScriptedModel("It was.")) as mesh:
        await mesh.ask(question())
        await mesh.ask(other)

    assert len(mesh.llm.prompts) == 2


async def test_a_changed_collection_is_asked_anew():
    async with house(ScriptedModel("It was.")) as mesh:
        await mesh.ask(question())
        mesh.documents.revision += 1
        await mesh.ask(question())

    assert len(mesh.llm.prompts) == 2


async def test_a_switched_off_cache_neither_keeps_answers_nor_gives_those_it_has():
    async with house(ScriptedModel("It was completed.")) as mesh:
        await mesh.ask(question())
        await mesh.live.take(Snapshot(1, {"answer_cache": "false"}))
        await mesh.ask(question())
        await mesh.ask(question())

    assert len(mesh.llm.prompts) == 3


async def test_an_answer_that_failed_is_not_cached():
    async with house(ScriptedModel("It was", fault=Unavailable("gone"))) as mesh:
        for _ in range(2):
            with pytest.raises(Unavailable):
                await mesh.ask(question())

    assert len(mesh.llm.prompts) == 2


async def test_sampling_without_a_seed_gives_each_caller_an_answer_of_its_own():
    async with house(ScriptedModel("It was.")) as mesh:
        await asyncio.gather(*(mesh.ask(question(temperature=0.8)) for _ in range(3)))

    assert len(mesh.llm.prompts) == 3


async def test_equal_questions_in_flight_are_answered_once():
    async with house(ScriptedModel("It was ", "completed."), in_flight=1) as mesh:
        answers = await asyncio.gather(*(mesh.ask(question()) for _ in range(5)))

    assert len(mesh.llm.prompts) == 1
    assert all(answer == answers[0] for answer in answers)


async def test_beyond_capacity_a_question_is_refused_with_a_time_to_come_back():
    async with house(ScriptedModel("It was"), in_flight=1) as mesh:
        mesh.llm.waits = True
        async with aclosing(mesh.answers.ask(question())) as events:
            await anext(events)
            with pytest.raises(ResourceExhausted) as refused:
                await mesh.ask(question("Another?"))

    assert refused.value.retry_after_s


async def test_a_query_is_embedded_once_as_long_as_it_is_remembered():
    async with house(ScriptedModel("It was.")) as mesh:
        await mesh.ask(question(seed=1))
        await mesh.ask(question(seed=2))

    assert mesh.embedder.embedded == [ASKED]


async def test_what_a_model_can_not_read_is_quoted_to_who_asks_in_its_language():
    async with house(ScriptedModel("gibberish", languages="en"), chunks=[HAN]) as mesh:
        events = await mesh.ask(question())

    text = text_of(events)
    assert text.startswith("What was found is in a language that the language model does not read.")
    assert HAN.text[:10] in text
    assert "[1]" in text
    assert mesh.llm.prompts == []
