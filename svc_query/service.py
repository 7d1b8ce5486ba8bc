"""QueryService over gRPC: messages in, messages out."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

import grpc

from ragmesh import v1
from ragmesh.errors import DeadlineExceeded, FailedPrecondition, InvalidArgument, MeshError
from ragmesh.rpc.config import Live
from ragmesh.rpc.context import tenant, time_left
from svc_query.admission import Searches
from svc_query.answer import Question
from svc_query.answers import Answers
from svc_query.conversation import Conversation
from svc_query.events import AnswerEvent, Done
from svc_query.index import Index
from svc_query.requests import (
    Defaults,
    parse_answer,
    parse_complete,
    parse_embed,
    parse_list_chunks,
    parse_search,
    parse_suggest,
)
from svc_query.responses import answer_error, answer_event, list_chunks_response, search_response, turn_event
from svc_query.retrieve import Mode
from svc_query.timings import TIMINGS_KEY, Timings, observe, told


class QueryServicer(v1.QueryServiceServicer):
    """Translates and delegates."""

    def __init__(
        self,
        index: Callable[[], Index],
        answers: Answers,
        *,
        live: Live,
    ) -> None:
        """`index` gives that of one call."""
        self._index = index
        self._answers = answers
        self._live = live
        self._searches = Searches(
            target_s=lambda: live.now.search_target_s,
            most=lambda: live.now.in_flight_max,
        )

    @property
    def pressure(self) -> float:
        """How close questions come to waiting too long: 0 for idle, 1 for no more that can be taken on."""
        return max(self._searches.pressure, self._answers.pressure)

    async def search(self, request: v1.SearchRequest, context: grpc.aio.ServicerContext) -> v1.SearchResponse:
        """Finds the passages that fit a query best."""
        began = time.perf_counter()
        search = parse_search(request, tenant(), self._defaults())
        async with self._admitted("the search"):
            index = self._index()
            found = await index.retriever.retrieve(search)
        timings = replace(found.timings, total_s=time.perf_counter() - began)
        observe("search", timings)
        _tell(context, timings)
        return search_response(replace(found, timings=timings), index.retriever.model)

    async def answer(
        self, request: v1.AnswerRequest, context: grpc.aio.ServicerContext
    ) -> AsyncGenerator[v1.AnswerEvent, None]:
        """Answers a question. What fails before the first event is a status, what fails later the last event."""
        question = parse_answer(request, tenant(), self._defaults())
        async with aclosing(_told(self._answers.ask(question), context)) as events:
            async for event in events:
                yield event

    async def chat(
        self, request: AsyncIterator[v1.ChatRequest], context: grpc.aio.ServicerContext
    ) -> AsyncGenerator[v1.AnswerEvent, None]:
        """A conversation on one stream."""
        conversation = Conversation(self._answers.ask, idle_s=self._live.now.chat_idle_s)
        async with aclosing(conversation.follow(self._turns(request))) as events:
            async for event in events:
                yield turn_event(event)

    async def complete(
        self, request: v1.CompleteRequest, context: grpc.aio.ServicerContext
    ) -> AsyncGenerator[v1.AnswerEvent, None]:
        """Continues a text. What fails before the first event is a status, what fails later the last event."""
        prompt, sampling = parse_complete(request)
        async with aclosing(_told(self._answers.complete(prompt, sampling), context)) as events:
            async for event in events:
                yield event

    async def suggest_questions(
        self, request: v1.SuggestQuestionsRequest, context: grpc.aio.ServicerContext
    ) -> v1.SuggestQuestionsResponse:
        """Proposes questions that the documents can answer."""
        wish = parse_suggest(request, tenant())
        if not self._live.now.suggestions:
            raise FailedPrecondition("suggestions are switched off in this mesh (RAGMESH_SUGGESTIONS)")
        async with self._admitted("finding questions"):
            return v1.SuggestQuestionsResponse(questions=await self._index().suggester.suggest(wish))

    async def list_chunks(
        self, request: v1.ListChunksRequest, context: grpc.aio.ServicerContext
    ) -> v1.ListChunksResponse:
        """The passages of a document in their order."""
        opening = parse_list_chunks(request, tenant())
        async with self._admitted("opening the document"):
            return list_chunks_response(await self._index().passages.open(opening))

    async def embed(self, request: v1.EmbedRequest, context: grpc.aio.ServicerContext) -> v1.EmbedResponse:
        """Computes vectors with the mesh's embedding model."""
        texts, role = parse_embed(request)
        embedder = self._index().embedder
        vectors, tokens = await embedder.embed_counted(texts, role)
        info = embedder.info
        return v1.EmbedResponse(
            vectors=vectors.astype("<f4").tobytes(),
            dims=info.dims,
            model=f"{info.name}/{info.version}",
            prompt_tokens=tokens,
        )

    async def _turns(self, requests: AsyncIterator[v1.ChatRequest]) -> AsyncGenerator[Question | MeshError, None]:
        """The turns of a conversation, or what is wrong with them."""
        is_first = True
        async for request in requests:
            yield self._turn(request.turn or v1.AnswerRequest(), is_first=is_first)
            is_first = False

    def _turn(self, turn: v1.AnswerRequest, *, is_first: bool) -> Question | MeshError:
        try:
            if turn.history and not is_first:
                raise InvalidArgument("history goes with the first turn of a stream, which remembers the rest")
            return parse_answer(turn, tenant(), self._defaults())
        except MeshError as error:
            return error

    def _defaults(self) -> Defaults:
        now = self._live.now
        return Defaults(now.search_results, now.answer_passages, Mode(now.search_mode))

    @asynccontextmanager
    async def _admitted(self, what: str) -> AsyncIterator[None]:
        """Room and time for a search. Raises ResourceExhausted, DeadlineExceeded."""
        with self._searches.admitted():
            try:
                async with asyncio.timeout(time_left(self._live.now.search_timeout_s)):
                    yield
            except TimeoutError:
                raise DeadlineExceeded(f"{what} took longer than the time it was given") from None


def _tell(context: grpc.aio.ServicerContext, timings: Timings) -> None:
    context.set_trailing_metadata(((TIMINGS_KEY, told(timings)),))


async def _told(
    events: AsyncGenerator[AnswerEvent, None], context: grpc.aio.ServicerContext
) -> AsyncGenerator[v1.AnswerEvent, None]:
    """Events as messages. An error before the first one is raised, a later one is told as the last event."""
    begun = False
    try:
        async with aclosing(events):
            async for event in events:
                begun = True
                if isinstance(event, Done):
                    _tell(context, event.timings)
                yield answer_event(event)
    except MeshError as error:
        if not begun:
            raise
        yield answer_error(error)
