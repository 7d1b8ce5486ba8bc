"""Answers and conversations: /v1/collections/{collection}/answer and /chat."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from aiohttp import web

from gateway import filters, messages, shapes, sse
from gateway.answering import answered, whole
from gateway.bodies import read, respond
from gateway.calls import services
from gateway.models import AnswerBody, AnswerOptions, ChatBody
from gateway.openapi import Operation, documented
from ragmesh.access import Scope
from ragmesh.errors import InvalidArgument
from ragmesh.v1 import AnswerError, AnswerEvent, AnswerRequest, Done, SearchMode, Speaker, Turn

routes = web.RouteTableDef()


@routes.post("/v1/collections/{collection}/answer")
@documented(
    Operation(
        "Answer a question. With stream: SSE events sources, token*, usage, done or error",
        shapes.Answer,
        body=AnswerBody,
        media="text/event-stream",
        needs=Scope.READ,
    )
)
async def answer(request: web.Request) -> web.StreamResponse:
    body = await read(request, AnswerBody)
    return await _answered(request, body, body.question)


@routes.post("/v1/collections/{collection}/chat")
@documented(
    Operation(
        "Answer the last message of a conversation in the light of the others. With stream: SSE as of answer",
        shapes.Answer,
        body=ChatBody,
        media="text/event-stream",
        needs=Scope.READ,
    )
)
async def chat(request: web.Request) -> web.StreamResponse:
    body = await read(request, ChatBody)
    *earlier, last = body.messages
    if last.role != "user":
        raise InvalidArgument("the last message is what is asked: its role must be user", field="messages")
    history = [Turn(speaker=Speaker[message.role.upper()], text=message.content) for message in earlier]
    return await _answered(request, body, last.content, history)


async def _answered(
    request: web.Request, options: AnswerOptions, question: str, history: list[Turn] | None = None
) -> web.StreamResponse:
    message = _message(request.match_info["collection"], question, options, history or [])
    events = answered(services(request), message)
    if options.stream:
        return await sse.stream(request, _shown(events))
    text = await whole(events)
    return respond(
        shapes.Answer(
            answer=text.text, query=text.sources.query, usage=messages.usage(text.usage), **_done(text.done)
        )
    )


async def _shown(events: AsyncGenerator[AnswerEvent, None]) -> AsyncGenerator[sse.Event, None]:
    async with aclosing(events):
        async for event in events:
            yield _named(event)


def _named(event: AnswerEvent) -> sse.Event:
    if event.token is not None:  # asked so, as the truth of a message compares all of its fields
        return "token", {"text": event.token.text}
    if event.sources is not None:
        citations = [messages.citation(each) for each in event.sources.citations]
        return "sources", {"citations": citations, "query": event.sources.query}
    if event.usage is not None:
        return "usage", messages.usage(event.usage)
    if event.done is not None:
        return "done", _done(event.done)
    error = event.error or AnswerError(code="INTERNAL", message="an event without content")
    return "error", {"code": error.code, "message": error.message, "retriable": error.retriable}


def _done(done: Done) -> shapes.Done:
    return {
        "finish_reason": messages.name(done.finish_reason).lower(),
        "citations": [messages.citation(each) for each in done.citations],
        "timings": messages.timings(done.timings),
    }


def _message(collection: str, question: str, options: AnswerOptions, history: list[Turn]) -> AnswerRequest:
    return AnswerRequest(
        collection=collection,
        question=question,
        history=history,
        instruction=options.instruction,
        top_k=options.top_k,
        mode=SearchMode[options.mode.upper()],
        filter=filters.to_message(options.filter),
        rerank=options.rerank,
        max_tokens=options.max_tokens,
        temperature=options.temperature,
        top_p=options.top_p,
        seed=options.seed,
        stop=options.stop,
    )
