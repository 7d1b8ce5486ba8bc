"""Answers on their way through the edge: as they are written, or whole."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from gateway.calls import Services
from ragmesh.errors import BY_CODE, Internal, MeshError
from ragmesh.rpc.context import outgoing
from ragmesh.rpc.errors import translated
from ragmesh.v1 import AnswerError, AnswerEvent, AnswerRequest, CompleteRequest, Done, Sources, Usage


@dataclass(frozen=True, slots=True)
class Whole:
    """A text that is complete, and what it rests on."""

    text: str
    sources: Sources
    usage: Usage
    done: Done


def answered(mesh: Services, message: AnswerRequest) -> AsyncGenerator[AnswerEvent, None]:
    """The events of an answer. Leaving early cancels the call, and with it the generation."""
    return _events(mesh.query.answer, message, mesh.settings.answer_timeout_s)


def completed(mesh: Services, message: CompleteRequest) -> AsyncGenerator[AnswerEvent, None]:
    """Likewise, what the language model continues a text with."""
    return _events(mesh.query.complete, message, mesh.settings.answer_timeout_s)


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


async def _events(method: Callable[..., Any], message: Any, timeout_s: float) -> AsyncGenerator[AnswerEvent, None]:
    call = method(message, **outgoing(timeout_s))
    try:
        with translated():
            async for event in call:
                yield event
    finally:
        call.cancel()
