"""Answers: /v1/collections/{collection}/answer."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from aiohttp import web

from gateway import filters, messages, shapes, sse
from gateway.bodies import read, respond
from gateway.calls import services
from gateway.limits import reserve, spent, tokens_of
from gateway.models import AnswerBody
from gateway.openapi import Operation, documented
from ragmesh.errors import BY_CODE, Internal, MeshError
from ragmesh.rpc.context import outgoing
from ragmesh.rpc.errors import translated
from ragmesh.settings import Settings
from ragmesh.v1 import AnswerError, AnswerEvent, AnswerRequest, Done, SearchMode, Usage

WRITTEN = 256  # tokens that the query service lets an answer have unless it is told

routes = web.RouteTableDef()


@routes.post("/v1/collections/{collection}/answer")
@documented(
    Operation(
        "Answer a question. With stream: SSE events sources, token*, usage, done or error",
        shapes.Answer,
        body=AnswerBody,
        media="text/event-stream",
    )
)
async def answer(request: web.Request) -> web.StreamResponse:
    body = await read(request, AnswerBody)
    await reserve(request, _cost(body, services(request).settings))
    events = _events(request, _message(request.match_info["collection"], body))
    if body.stream:
        return await sse.stream(request, _shown(events))
    return await _whole(events)


def _cost(body: AnswerBody, settings: Settings) -> int:
    """About how many tokens the model will read and may write."""
    passages = (body.top_k or settings.answer_passages) * settings.chunk_tokens
    return tokens_of(body.question) + passages + (body.max_tokens or WRITTEN)


async def _events(request: web.Request, message: AnswerRequest) -> AsyncGenerator[AnswerEvent, None]:
    """The events of an answer. Leaving early cancels the call, and with it the generation."""
    mesh = services(request)
    call = mesh.query.answer(message, **outgoing(mesh.settings.answer_timeout_s))
    try:
        with translated():
            async for event in call:
                if event.usage:
                    spent(request, event.usage.prompt_tokens + event.usage.completion_tokens)
                yield event
    finally:
        call.cancel()


async def _shown(events: AsyncGenerator[AnswerEvent, None]) -> AsyncGenerator[sse.Event, None]:
    async with aclosing(events):
        async for event in events:
            yield _named(event)


async def _whole(events: AsyncGenerator[AnswerEvent, None]) -> web.Response:
    text: list[str] = []
    usage, done = Usage(), Done()
    async with aclosing(events):
        async for event in events:
            if event.error:
                raise _raised(event.error)
            text.append(event.token.text if event.token else "")
            usage, done = event.usage or usage, event.done or done
    return respond(shapes.Answer(answer="".join(text), usage=messages.usage(usage), **_done(done)))


def _named(event: AnswerEvent) -> sse.Event:
    if event.token:
        return "token", {"text": event.token.text}
    if event.sources:
        return "sources", {"citations": [messages.citation(each) for each in event.sources.citations]}
    if event.usage:
        return "usage", messages.usage(event.usage)
    if event.done:
        return "done", _done(event.done)
    error = event.error or AnswerError(code="INTERNAL", message="an event without content")
    return "error", {"code": error.code, "message": error.message, "retriable": error.retriable}


def _done(done: Done) -> shapes.Done:
    return {
        "finish_reason": messages.name(done.finish_reason).lower(),
        "citations": [messages.citation(each) for each in done.citations],
        "timings": messages.timings(done.timings),
    }


def _raised(error: AnswerError) -> MeshError:
    return BY_CODE.get(error.code, Internal)(error.message)


def _message(collection: str, body: AnswerBody) -> AnswerRequest:
    return AnswerRequest(
        collection=collection,
        question=body.question,
        top_k=body.top_k,
        mode=SearchMode[body.mode.upper()],
        filter=filters.to_message(body.filter),
        rerank=body.rerank,
        max_tokens=body.max_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        seed=body.seed,
        stop=body.stop,
    )
