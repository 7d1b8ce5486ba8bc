"""Answers on their way through the edge: as they are written, or whole."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from gateway.calls import services
from gateway.limits import spent, tokens_of
from ragmesh.errors import BY_CODE, Internal, MeshError
from ragmesh.rpc.context import outgoing
from ragmesh.rpc.errors import translated
from ragmesh.settings import Settings
from ragmesh.v1 import AnswerError, AnswerEvent, AnswerRequest, CompleteRequest, Done, Sources, Usage

WRITTEN = 256  # tokens that the query service lets a text have unless it is told


@dataclass(frozen=True, slots=True)
class Whole:
    """A text that is complete, and what it rests on."""

    text: str
    sources: Sources
    usage: Usage
    done: Done


def answered(request: web.Request, message: AnswerRequest) -> AsyncGenerator[AnswerEvent, None]:
    """The events of an answer. Leaving early cancels the call, and with it the generation."""
    return _events(request, services(request).query.answer, message)


def completed(request: web.Request, message: CompleteRequest) -> AsyncGenerator[AnswerEvent, None]:
    """Likewise, what the language model continues a text with."""
    return _events(request, services(request).query.complete, message)


def cost_of(message: AnswerRequest, settings: Settings) -> int:
    """About how many tokens the model will read and may write."""
    passages = (message.top_k or settings.answer_passages) * settings.chunk_tokens
    said = (message.question, message.instruction, *(turn.text for turn in message.history))
    return tokens_of(*filter(None, said)) + passages + (message.max_tokens or WRITTEN)


async def whole(events: AsyncGenerator[AnswerEvent, None]) -> Whole:
    """All of it. Raises what the text broke off with."""
    text: list[str] = []
    sources, usage, done = Sources(), Usage(), Done()
    async with aclosing(events):
        async for event in events:
            if event.error is not None:
                raise raised(event.error)
            text.append(event.token.text if event.token is not None else "")
            sources, usage, done = event.sources or sources, event.usage or usage, event.done or done
    return Whole("".join(text), sources, usage, done)


def raised(error: AnswerError) -> MeshError:
    """The error that a text ended with."""
    return BY_CODE.get(error.code, Internal)(error.message)


async def _events(
    request: web.Request, method: Callable[..., Any], message: Any
) -> AsyncGenerator[AnswerEvent, None]:
    """What a call brings; its usage is noted for the caller's limits."""
    call = method(message, **outgoing(services(request).settings.answer_timeout_s))
    try:
        with translated():
            async for event in call:
                if event.usage is not None:
                    spent(request, event.usage.prompt_tokens + event.usage.completion_tokens)
                if event.error is not None:
                    spent(request, tokens=0)
                yield event
    except MeshError:
        spent(request, tokens=0)
        raise
    finally:
        call.cancel()
