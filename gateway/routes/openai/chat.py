"""Answers from a collection in OpenAI's shape: /v1/chat/completions."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

from aiohttp import web

from gateway import filters, messages
from gateway.answering import answered, raised, whole
from gateway.bodies import respond
from gateway.calls import services
from gateway.openai import shapes
from gateway.openai.bodies import ChatCompletionBody, ChatMessage, read_openai
from gateway.openai.names import collection_of, unknown
from gateway.openai.stream import stream
from gateway.openapi import Operation, documented
from ragmesh.access import Scope
from ragmesh.errors import InvalidArgument, NotFound
from ragmesh.rpc.context import request_id
from ragmesh.v1 import AnswerEvent, AnswerRequest, Done, FinishReason, SearchMode, Sources, Speaker, Turn, Usage

routes = web.RouteTableDef()

SPEAKERS = {"user": Speaker.USER, "assistant": Speaker.ASSISTANT}
ANSWER = "chat.completion"
PIECE = "chat.completion.chunk"


@routes.post("/v1/chat/completions")
@documented(
    Operation(
        "Answer from the collection that `model` names, as ragmesh/COLLECTION, in OpenAI's shape",
        shapes.ChatCompletion,
        body=ChatCompletionBody,
        media="text/event-stream",
        needs=Scope.READ,
    )
)
async def chat_completions(request: web.Request) -> web.StreamResponse:
    body = await read_openai(request, ChatCompletionBody)
    events = _found(answered(services(request), _message(body)), body.model)
    answer = _Answer(body.model)
    if body.stream:
        return await stream(request, _chunks(answer, events, tells_usage=body.tells_usage))
    text = await whole(events)
    return respond(answer.whole(text.text, text.sources, text.done, text.usage))


def finish_reason(done: Done) -> str:
    """As OpenAI names it. That nothing was found is an answer like any other."""
    return "length" if done.finish_reason is FinishReason.LENGTH else "stop"


@dataclass(frozen=True, slots=True)
class _Answer:
    """What all pieces of an answer have in common."""

    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{request_id()}")
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, text: str, sources: Sources, done: Done, usage: Usage) -> shapes.ChatCompletion:
        message: shapes.Message = {
            "role": "assistant",
            "content": text,
            "refusal": None,
            "query": sources.query,
            "citations": [messages.citation(each) for each in done.citations],
        }
        return {
            "id": self.id,
            "object": ANSWER,
            "created": self.created,
            "model": self.model,
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason(done)}],
            "usage": messages.usage(usage),
        }

    def piece(self, *deltas: shapes.Delta, finish_reason: str | None = None) -> shapes.ChatChunk:
        return {
            "id": self.id,
            "object": PIECE,
            "created": self.created,
            "model": self.model,
            "choices": [
                {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason} for delta in deltas
            ],
        }


async def _found(events: AsyncGenerator[AnswerEvent, None], model: str) -> AsyncGenerator[AnswerEvent, None]:
    """The events. That there is no such collection is told as of a model."""
    async with aclosing(events):
        try:
            async for event in events:
                yield event
        except NotFound:
            raise unknown(model, "there is no such collection") from None


async def _chunks(
    answer: _Answer, events: AsyncGenerator[AnswerEvent, None], *, tells_usage: bool
) -> AsyncGenerator[shapes.ChatChunk, None]:
    usage = Usage()
    async with aclosing(events):
        async for event in events:
            if event.error is not None:
                raise raised(event.error)
            usage = event.usage or usage
            if chunk := _chunk(answer, event):
                yield {**chunk, "usage": None} if tells_usage else chunk
    if tells_usage:
        yield {**answer.piece(), "usage": messages.usage(usage)}


def _chunk(answer: _Answer, event: AnswerEvent) -> shapes.ChatChunk | None:
    if event.token is not None:
        return answer.piece({"content": event.token.text})
    if event.sources is not None:
        sources = [messages.citation(each) for each in event.sources.citations]
        return answer.piece({"role": "assistant", "content": "", "query": event.sources.query, "sources": sources})
    if event.done is not None:
        cited = [messages.citation(each) for each in event.done.citations]
        return answer.piece({"citations": cited}, finish_reason=finish_reason(event.done))
    return None


def _message(body: ChatCompletionBody) -> AnswerRequest:
    said = [message for message in body.messages if message.role in SPEAKERS]
    if not said or said[-1].role != "user" or body.messages[-1] is not said[-1]:
        raise InvalidArgument("the last message is what is asked: its role must be user", field="messages")
    *earlier, last = said
    return AnswerRequest(
        collection=collection_of(body.model),
        question=last.text,
        history=[Turn(speaker=SPEAKERS[message.role], text=message.text) for message in earlier],
        instruction=_instruction(body.messages),
        top_k=body.top_k,
        mode=SearchMode[body.mode.upper()],
        filter=filters.to_message(body.filter),
        max_tokens=body.longest,
        temperature=body.temperature,
        top_p=body.top_p,
        seed=body.unsigned_seed,
        stop=body.stops,
    )


def _instruction(said: list[ChatMessage]) -> str:
    return "\n".join(message.text for message in said if message.role not in SPEAKERS)
