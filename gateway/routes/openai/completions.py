"""Texts continued by the language model itself, in OpenAI's shape: /v1/completions."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

from aiohttp import web

from gateway import messages
from gateway.answering import completed, raised, whole
from gateway.bodies import respond
from gateway.calls import Services, services
from gateway.openai import shapes
from gateway.openai.bodies import CompletionBody, read_openai
from gateway.openai.names import known, unknown
from gateway.openai.stream import stream
from gateway.openapi import Operation, documented
from gateway.routes.openai.chat import finish_reason
from ragmesh.access import Scope
from ragmesh.rpc.context import request_id
from ragmesh.v1 import CompleteRequest, ModelRole, Usage

routes = web.RouteTableDef()


@routes.post("/v1/completions")
@documented(
    Operation(
        "Continue texts with the language model alone: no collection is read",
        shapes.Completion,
        body=CompletionBody,
        media="text/event-stream",
        needs=Scope.READ,
    )
)
async def completions(request: web.Request) -> web.StreamResponse:
    mesh, body = services(request), await read_openai(request, CompletionBody)
    names = [model["id"] for model in await known(mesh, ModelRole.LLM)]
    if body.model not in names:
        raise unknown(body.model, f"{' or '.join(names)} continues texts")
    text = _Text(body.model)
    if body.stream:
        return await stream(request, _chunks(mesh, text, body))
    return respond(await _whole(mesh, text, body))


@dataclass(frozen=True, slots=True)
class _Text:
    """What all pieces of a continuation have in common."""

    model: str
    id: str = field(default_factory=lambda: f"cmpl-{request_id()}")
    created: int = field(default_factory=lambda: int(time.time()))

    def piece(self, *choices: shapes.TextChoice) -> shapes.Completion:
        return {
            "id": self.id,
            "object": "text_completion",
            "created": self.created,
            "model": self.model,
            "choices": list(choices),
        }


async def _whole(mesh: Services, text: _Text, body: CompletionBody) -> shapes.Completion:
    """Each prompt's continuation, one after another: one request has one place at the model."""
    choices: list[shapes.TextChoice] = []
    usages: list[Usage] = []
    for index, prompt in enumerate(body.prompts):
        written = await whole(completed(mesh, _message(body, prompt)))
        choices.append(_choice(index, _begun(body, prompt) + written.text, finish_reason(written.done)))
        usages.append(written.usage)
    return {**text.piece(*choices), "usage": messages.usage(_sum(usages))}


async def _chunks(mesh: Services, text: _Text, body: CompletionBody) -> AsyncGenerator[shapes.Completion, None]:
    usages: list[Usage] = []
    for index, prompt in enumerate(body.prompts):
        if beginning := _begun(body, prompt):
            yield text.piece(_choice(index, beginning))
        async with aclosing(completed(mesh, _message(body, prompt))) as events:
            async for event in events:
                if event.error is not None:
                    raise raised(event.error)
                if event.usage is not None:
                    usages.append(event.usage)
                if event.token is not None:
                    yield text.piece(_choice(index, event.token.text))
                if event.done is not None:
                    yield text.piece(_choice(index, "", finish_reason(event.done)))
    if body.tells_usage:
        yield {**text.piece(), "usage": messages.usage(_sum(usages))}


def _begun(body: CompletionBody, prompt: str) -> str:
    return prompt if body.echo else ""


def _choice(index: int, text: str, finish_reason: str | None = None) -> shapes.TextChoice:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": finish_reason}


def _sum(usages: list[Usage]) -> Usage:
    return Usage(
        prompt_tokens=sum(usage.prompt_tokens for usage in usages),
        completion_tokens=sum(usage.completion_tokens for usage in usages),
    )


def _message(body: CompletionBody, prompt: str) -> CompleteRequest:
    return CompleteRequest(
        prompt=prompt,
        max_tokens=body.longest,
        temperature=body.temperature,
        top_p=body.top_p,
        seed=body.unsigned_seed,
        stop=body.stops,
    )
