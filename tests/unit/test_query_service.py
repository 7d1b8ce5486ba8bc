"""QueryService over real gRPC, on small stand-ins for models and stores."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import numpy as np
import pytest
from prometheus_client import REGISTRY

from ragmesh import v1
from ragmesh.errors import (
    Aborted,
    InvalidArgument,
    MeshError,
    NotFound,
    ResourceExhausted,
    Unavailable,
    Unimplemented,
)
from ragmesh.rpc.channels import open_channel
from ragmesh.rpc.config import Live
from ragmesh.rpc.context import bound, outgoing
from ragmesh.rpc.errors import translated
from ragmesh.rpc.server import serving
from ragmesh.settings import Settings
from ragmesh.storage.cache.memory import MemoryCache
from ragmesh.v1 import (
    AnswerRequest,
    ChatRequest,
    CompleteRequest,
    Condition,
    EmbedRequest,
    EmbedRole,
    Filter,
    ListChunksRequest,
    QueryServiceStub,
    SearchMode,
    SearchRequest,
    SuggestQuestionsRequest,
)
from svc_query.admission import LIMIT_FIRST
from svc_query.answers import Answers
from svc_query.flight import Unshared
from svc_query.index import Index
from svc_query.passages import Passages
from svc_query.retrieve import Retriever
from svc_query.service import QueryServicer
from svc_query.suggest import Suggester
from tests.query_fakes import FewChunks, LetterEmbedder, OneCollection, ScriptedModel, passage

TOWER = passage("The Eiffel Tower is a lattice tower in Paris. It was completed in March 1889.", document="tower")
BRIDGE = passage("The bridge carries two railway tracks over the river.", document="bridge", metadata={"team": "b"})


@asynccontextmanager
async def query_service(
    llm: ScriptedModel | None = None, searcher: FewChunks | None = None
) -> AsyncIterator[QueryServiceStub]:
    embedder, model = LetterEmbedder(), llm or ScriptedModel("It was completed in March 1889.")
    searcher = searcher or FewChunks([TOWER, BRIDGE])
    documents = OneCollection(searcher)
    settings = Settings()
    live = Live(settings)
    async with Retriever(embedder, searcher, documents) as retriever:
        answers = Answers(
            lambda: retriever,
            lambda: model,
            documents=documents,
            shared=Unshared(),
            cache=MemoryCache(1_000_000),
            live=live,
        )
        index = Index(embedder, retriever, Suggester(retriever, searcher, documents), Passages(searcher, documents))
        servicer = QueryServicer(lambda: index, answers, live=live)
        async with (
            serving("query", [servicer], live) as running,
            open_channel(settings, running.address) as channel,
        ):
            yield QueryServiceStub(channel)


async def events_of(stub: QueryServiceStub, request: AnswerRequest) -> list[v1.AnswerEvent]:
    with bound(tenant="acme"), translated():
        return [event async for event in stub.answer(request, **outgoing(10))]


def stages_of(trailing: grpc.aio.Metadata) -> dict[str, float]:
    """Milliseconds by stage, read from the call's last words."""
    stages = (stage.split(";dur=") for stage in str(trailing["ragmesh-timings"]).split(", "))
    return {name: float(milliseconds) for name, milliseconds in stages}


async def test_a_search_finds_passages_best_first():
    async with query_service() as stub:
        response = await stub.search(SearchRequest(query="Eiffel Tower in Paris"), **outgoing(10))

    assert [result.chunk.document_id for result in response.results if result.chunk] == ["tower", "bridge"]
    assert response.results[0].score > response.results[1].score
    assert response.timings


class WaitingChunks(FewChunks):
    """Searches take as long as the test wants."""

    def __init__(self) -> None:
        super().__init__([TOWER])
        self.may_answer = asyncio.Event()

    async def search_dense(self, *args):
        await self.may_answer.wait()
        return await super().search_dense(*args)


async def test_one_search_too_many_is_refused_with_a_time_to_come_back_and_the_others_are_answered():
    searcher = WaitingChunks()
    async with query_service(searcher=searcher) as stub:

        async def search() -> v1.SearchResponse:
            with translated():
                return await stub.search(SearchRequest(query="Eiffel Tower"), **outgoing(10))

        searches = [asyncio.create_task(search()) for _ in range(LIMIT_FIRST + 1)]
        (refused,), held = await asyncio.wait(searches, return_when=asyncio.FIRST_COMPLETED)
        searcher.may_answer.set()
        answers = await asyncio.gather(*held)

    error = refused.exception()
    assert isinstance(error, ResourceExhausted)
    assert error.retry_after_s
    assert all(answer.results for answer in answers)


async def test_an_answer_streams_sources_tokens_usage_and_done():
    async with query_service() as stub:
        events = await events_of(stub, AnswerRequest(question="When was the tower completed?"))

    assert events[0].sources
    assert "".join(event.token.text for event in events if event.token) == "It was completed in March 1889. [1]"
    assert events[-2].usage == v1.Usage(prompt_tokens=7, completion_tokens=1)
    assert events[-1].done
    assert events[-1].done.finish_reason is v1.FinishReason.STOP
    assert [citation.marker for citation in events[-1].done.citations] == ["[1]"]


async def test_a_search_tells_its_stages_after_the_response():
    async with query_service() as stub:
        call = stub.search(SearchRequest(query="Eiffel Tower"), **outgoing(10))
        response = await call
        stages = stages_of(await call.trailing_metadata())

    assert set(stages) == {"queue", "embed", "search", "total"}
    assert stages["total"] >= stages["embed"] > 0
    assert response.timings is not None  # all of them may be less than half a millisecond
    assert response.timings.total_ms == round(stages["total"])


async def test_an_answer_tells_its_stages_after_its_last_event():
    asked = AnswerRequest(question="When was the tower completed?")
    async with query_service() as stub:
        call = stub.answer(asked, **outgoing(10))
        events = [event async for event in call]
        stages = stages_of(await call.trailing_metadata())

    assert list(stages) == ["queue", "embed", "search", "prompt", "first_token", "generate", "total"]
    assert stages["total"] >= stages["generate"] >= stages["first_token"]
    assert events[-1].done
    assert events[-1].done.timings


async def test_a_text_that_is_continued_tells_how_long_the_model_took():
    async with query_service() as stub:
        call = stub.complete(CompleteRequest(prompt="Once"), **outgoing(10))
        async for _ in call:
            pass
        stages = stages_of(await call.trailing_metadata())

    assert list(stages) == ["first_token", "generate", "total"]


async def test_stages_are_counted_by_name_for_searches_and_for_answers():
    before = {name: _count(name) for name in ("search", "answer")}
    async with query_service() as stub:
        await stub.search(SearchRequest(query="Eiffel Tower"), **outgoing(10))
        await events_of(stub, AnswerRequest(question="When was the tower completed?"))

    assert {name: _count(name) - count for name, count in before.items()} == {"search": 1, "answer": 1}


def _count(work: str) -> float:
    return REGISTRY.get_sample_value(f"ragmesh_{work}_stage_seconds_count", {"stage": "embed"}) or 0.0


async def test_a_failure_after_the_first_event_is_the_last_event():
    async with query_service(ScriptedModel("It", fault=Unavailable("the model is away"))) as stub:
        events = await events_of(stub, AnswerRequest(question="When?"))

    assert events[-1].error == v1.AnswerError(code="UNAVAILABLE", message="the model is away", retriable=True)


async def test_a_failure_before_the_first_event_is_a_status():
    async with query_service() as stub:
        with pytest.raises(NotFound, match="no collection 'elsewhere'"):
            await events_of(stub, AnswerRequest(question="When?", collection="elsewhere"))


async def test_a_cancelled_call_stops_the_model():
    llm = ScriptedModel("It was")
    llm.waits = True
    async with query_service(llm) as stub:
        call = stub.answer(AnswerRequest(question="When?"), **outgoing(10))
        await anext(aiter(call))
        await llm.writing.wait()
        call.cancel()
        await llm.stopped.wait()

    assert llm.closed == 1


async def test_vectors_are_packed_floats():
    async with query_service() as stub:
        response = await stub.embed(EmbedRequest(texts=["abc", "zz"], role=EmbedRole.PASSAGE), **outgoing(10))

    vectors = np.frombuffer(response.vectors, "<f4").reshape(2, response.dims)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    assert response.model == "letters/1"
    assert response.prompt_tokens == 2


async def test_questions_are_suggested():
    async with query_service() as stub:
        response = await stub.suggest_questions(SuggestQuestionsRequest(count=1), **outgoing(10))

    assert response.questions == ["What is the Eiffel Tower?"]


async def test_a_document_is_read_in_order_a_few_passages_at_a_time():
    pages = [passage(f"part {n}", document="novel", ordinal=n, page=1 + n // 3) for n in range(12)]
    async with query_service(searcher=FewChunks([*reversed(pages), TOWER])) as stub:
        request = ListChunksRequest(document_id="novel", page_size=5)
        read = []
        while not read or request.page_token:
            response = await stub.list_chunks(request, **outgoing(10))
            read.append([chunk.text for chunk in response.chunks])
            request.page_token = response.next_page_token

    assert read == [[f"part {n}" for n in part] for part in (range(5), range(5, 10), range(10, 12))]


async def test_a_document_is_opened_at_a_page_or_a_little_before_a_passage():
    pages = [passage(f"part {n}", document="novel", ordinal=n, page=1 + n // 3) for n in range(12)]
    async with query_service(searcher=FewChunks(pages)) as stub:

        async def parts(**wish) -> tuple[list[str], str]:
            response = await stub.list_chunks(ListChunksRequest(document_id="novel", **wish), **outgoing(10))
            return [chunk.text.removeprefix("part ") for chunk in response.chunks], response.next_page_token

        assert await parts(page=3) == (["6", "7", "8"], "")
        assert await parts(page=3, page_size=2) == (["6", "7"], "1-8")
        assert await parts(page=3, page_size=2, page_token="1-8") == (["8"], "")  # noqa: S106 no password
        assert await parts(page=9) == ([], "")
        assert await parts(around="novel:1:7", page_size=4) == (["6", "7", "8", "9"], "1-10")
        assert await parts(around="novel:1:0", page_size=4) == (["0", "1", "2", "3"], "1-4")


async def test_a_place_in_an_older_generation_of_a_document_is_not_mistaken_for_one_in_the_present():
    searcher = FewChunks([passage("new", document="novel", generation=2)])
    async with query_service(searcher=searcher) as stub:
        for place in ({"page_token": "1-8"}, {"around": "novel:1:7"}):
            with pytest.raises(Aborted, match="indexed anew"), translated():
                await stub.list_chunks(ListChunksRequest(document_id="novel", **place), **outgoing(10))


SEARCH, ANSWER, EMBED, SUGGEST = "search", "answer", "embed", "suggest_questions"
LIST = "list_chunks"


@pytest.mark.parametrize(
    ("method", "request_", "error", "says"),
    [
        (SEARCH, SearchRequest(query=""), InvalidArgument, "query is empty"),
        (SEARCH, SearchRequest(query=" \n"), InvalidArgument, "query is empty"),
        (SEARCH, SearchRequest(query="x" * 8193), InvalidArgument, "at most 8,192"),
        (SEARCH, SearchRequest(query="x", top_k=0), InvalidArgument, "top_k is from 1 to 100, not 0"),
        (SEARCH, SearchRequest(query="x", top_k=1_000_000), InvalidArgument, "not 1,000,000"),
        (SEARCH, SearchRequest(query="x", mode=SearchMode(9)), InvalidArgument, "no search mode 9"),
        (SEARCH, SearchRequest(query="x", rerank=True), Unimplemented, "no reranking model is loaded"),
        (SEARCH, SearchRequest(query="x", collection="nope"), NotFound, "no collection"),
        (
            SEARCH,
            SearchRequest(query="x", filter=Filter(conditions=[Condition(field="colour", equals="red")])),
            InvalidArgument,
            "can't test 'colour'",
        ),
        (ANSWER, AnswerRequest(question=""), InvalidArgument, "question is empty"),
        (ANSWER, AnswerRequest(question="x", max_tokens=0), InvalidArgument, "max_tokens is from 1 to 4,096"),
        (ANSWER, AnswerRequest(question="x", temperature=2.5), InvalidArgument, "from 0 to 2, not 2.5"),
        (ANSWER, AnswerRequest(question="x", temperature=math.nan), InvalidArgument, "not nan"),
        (ANSWER, AnswerRequest(question="x", top_p=0), InvalidArgument, "above 0 and at most 1"),
        (ANSWER, AnswerRequest(question="x", stop=["."] * 9), InvalidArgument, "at most 8 stop texts"),
        (ANSWER, AnswerRequest(question="x", rerank=True), Unimplemented, "no reranking model is loaded"),
        (EMBED, EmbedRequest(), InvalidArgument, "1 to 256 texts, not 0"),
        (EMBED, EmbedRequest(texts=["x"] * 257), InvalidArgument, "not 257"),
        (EMBED, EmbedRequest(texts=["x", ""]), InvalidArgument, "texts is empty"),
        (EMBED, EmbedRequest(texts=["x"], role=EmbedRole(7)), InvalidArgument, "no role 7"),
        (SUGGEST, SuggestQuestionsRequest(count=11), InvalidArgument, "count is from 1 to 10"),
        (SUGGEST, SuggestQuestionsRequest(answer=""), InvalidArgument, "answer is empty"),
        (LIST, ListChunksRequest(), InvalidArgument, "document_id is empty"),
        (LIST, ListChunksRequest(document_id="nope"), NotFound, "no searchable document 'nope'"),
        (LIST, ListChunksRequest(document_id="tower", collection="nope"), NotFound, "no collection 'nope'"),
        (LIST, ListChunksRequest(document_id="tower", page_size=101), InvalidArgument, "1 to 100, not 101"),
        (LIST, ListChunksRequest(document_id="tower", page=2**32 - 1), InvalidArgument, "page is from 1"),
        (LIST, ListChunksRequest(document_id="tower", page_token="x"), InvalidArgument, "not one of"),  # noqa: S106
        (LIST, ListChunksRequest(document_id="tower", around="bridge:1:0"), InvalidArgument, "of this document"),
    ],
)
async def test_a_wrong_request_is_told_what_would_be_right(
    method: str, request_: object, error: type[MeshError], says: str
):
    async with query_service() as stub:
        call = getattr(stub, method)(request_, **outgoing(10))
        with pytest.raises(error, match=says), translated():
            await (anext(aiter(call)) if method == ANSWER else call)


async def test_a_conversation_is_remembered_on_its_stream():
    llm = ScriptedModel("It was completed in March 1889.")
    async with query_service(llm) as stub:
        with bound(tenant="acme"), translated():
            call = stub.chat(**outgoing(10))
            await call.write(ChatRequest(turn=AnswerRequest(question="When was the Eiffel Tower completed?")))
            first = await the_turn(call)
            await call.write(ChatRequest(turn=AnswerRequest(question="And the bridge?")))
            second = await the_turn(call)
            await call.write(ChatRequest(turn=AnswerRequest(question="  ")))
            refused = await the_turn(call)
            await call.write(ChatRequest(turn=AnswerRequest(question="And why?", rerank=True)))
            refused += await the_turn(call)
            await call.done_writing()
            rest = await call.read()

    assert first[0].sources
    assert first[0].sources.query == "When was the Eiffel Tower completed?"
    assert second[0].sources
    assert second[0].sources.query == "When was the Eiffel Tower completed? And the bridge?"
    assert [message.role for message in llm.prompts[1]] == ["system", "user", "assistant", "user"]
    assert [event.error.code for event in refused if event.error] == ["INVALID_ARGUMENT", "UNIMPLEMENTED"]
    assert rest is grpc.aio.EOF


async def test_a_newer_turn_stops_the_model_and_the_reader_is_told():
    llm = ScriptedModel("It was")
    llm.waits = True
    async with query_service(llm) as stub, asyncio.timeout(10):
        call = stub.chat(**outgoing(10))
        await call.write(ChatRequest(turn=AnswerRequest(question="When was the tower completed?")))
        await llm.writing.wait()
        llm.waits = False
        await call.write(ChatRequest(turn=AnswerRequest(question="Which tracks does the bridge carry?")))
        ended, answered = await the_turn(call), await the_turn(call)
        await call.done_writing()
        rest = await call.read()

    assert ended[-1].error
    assert (ended[-1].error.code, ended[-1].error.retriable) == ("CANCELLED", False)
    assert answered[0].sources
    assert answered[-1].done
    assert llm.closed == 2
    assert rest is grpc.aio.EOF


async def test_earlier_turns_go_with_the_first_request_of_a_stream_only():
    async with query_service() as stub:
        with bound(tenant="acme"), translated():
            call = stub.chat(**outgoing(10))
            await call.write(ChatRequest(turn=AnswerRequest(question="When was the tower completed?")))
            await the_turn(call)
            said = [v1.Turn(speaker=v1.Speaker.USER, text="Hello")]
            await call.write(ChatRequest(turn=AnswerRequest(question="And the bridge?", history=said)))
            events = await the_turn(call)
            await call.done_writing()

    assert events[-1].error
    assert "first turn" in events[-1].error.message


async def the_turn(call) -> list[v1.AnswerEvent]:
    """The events of the turn that is running."""
    events: list[v1.AnswerEvent] = []
    async with asyncio.timeout(5):
        while not events or not (events[-1].done or events[-1].error):
            events.append(await call.read())
    return events


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"history": [v1.Turn(speaker=v1.Speaker.USER)] * 257}, "at most 256"),
        ({"history": [v1.Turn(speaker=v1.Speaker.USER, text="x" * 65_537)]}, "at most 65,536"),
        ({"history": [v1.Turn(text="hello")]}, "USER or ASSISTANT"),
        ({"instruction": "x" * 2049}, "at most 2,048"),
    ],
)
async def test_a_history_that_can_not_be_is_refused_with_what_would_be_right(wrong, message):
    async with query_service() as stub:
        with pytest.raises(InvalidArgument, match=message):
            await events_of(stub, AnswerRequest(question="And?", **wrong))


async def test_a_text_is_continued_by_the_model_alone():
    llm = ScriptedModel("there ", "was a tower")
    async with query_service(llm) as stub:
        with bound(tenant="acme"), translated():
            events = [event async for event in stub.complete(CompleteRequest(prompt="Once"), **outgoing(10))]

    assert "".join(event.token.text for event in events if event.token) == "there was a tower"
    assert [message.content for message in llm.prompts[0]] == ["Once"]
    assert events[-2].usage == v1.Usage(prompt_tokens=7, completion_tokens=2)
    assert events[-1].done
    assert events[-1].done.finish_reason is v1.FinishReason.STOP


async def test_a_continuation_that_breaks_off_ends_with_the_error():
    async with query_service(ScriptedModel("there", fault=Unavailable("the model died"))) as stub:
        with translated():
            events = [event async for event in stub.complete(CompleteRequest(prompt="Once"), **outgoing(10))]
        with pytest.raises(InvalidArgument, match="prompt is empty"), translated():
            await anext(aiter(stub.complete(CompleteRequest(), **outgoing(10))))

    assert events[-1].error == v1.AnswerError(code="UNAVAILABLE", message="the model died", retriable=True)
