"""A conversation: questions that are read in the light of those before them.

    async with client.chat(collection="handbook") as chat:
        async for event in chat.ask("How much may a hotel cost?"): ...
        async for event in chat.ask("And in London?"): ...

The server remembers what was answered on its stream. So does this side: where a stream is lost, or given up because
a reader left an answer early, the next question begins another with what was said before.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from copy import copy
from typing import Any, Self

from ragmesh.client.answers import whole
from ragmesh.errors import Aborted, DeadlineExceeded, Unavailable
from ragmesh.rpc.errors import translated
from ragmesh.v1 import AnswerEvent, AnswerRequest, ChatRequest, Speaker, Turn

TURNS_MAX = 256  # that the mesh takes as a history
CHARACTERS_MAX = 65_536  # in all of them

Call = Any  # grpc.aio.StreamStreamCall[ChatRequest, AnswerEvent]: generic in grpc's stubs only
Open = Callable[[], Call]


class Chat:
    """One conversation. Use it with `async with`; one question at a time: a new one ends the answer before it."""

    def __init__(
        self, open_stream: Open, template: AnswerRequest, history: Sequence[Turn], answer_s: float
    ) -> None:
        """`template` has what all questions have in common, `answer_s` is how long one answer may take."""
        self._open_stream = open_stream
        self._template = template
        self._answer_s = answer_s
        self._history = list(history)
        self._call: Call | None = None
        self._is_answering = False

    @property
    def history(self) -> Sequence[Turn]:
        """What was said so far, oldest first: answers that were left early are not in it."""
        return tuple(self._history)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._hang_up(self._call)

    async def ask(self, question: str, *, collection: str | None = None) -> AsyncGenerator[AnswerEvent, None]:
        """Streams an answer: sources, tokens, usage, done. Raises what it breaks off with.

        Closing the generator stops the model, and the conversation goes on as if this had not been asked.
        """
        turn = copy(self._template)
        turn.question = question
        turn.collection = turn.collection if collection is None else collection
        deadline = asyncio.get_running_loop().time() + self._answer_s
        call, event = await self._first_event(turn, deadline)
        pieces: list[str] = []
        try:
            while not event.done:
                pieces.append(event.token.text if event.token else "")
                yield event
                event = await self._hear(call, deadline)
            self._remember(question, "".join(pieces))
            self._is_answering = False
            yield event
        finally:
            if not event.done:
                self._hang_up(call)

    async def _first_event(self, turn: AnswerRequest, deadline: float) -> tuple[Call, AnswerEvent]:
        """Asks, on a new stream where there is none that lives; and once more where it has died unnoticed."""
        if self._is_answering:
            self._hang_up(self._call)
        was_open = self._call is not None and not self._call.done()
        try:
            return await self._say(turn, deadline)
        except Unavailable:
            if not was_open:
                raise
            return await self._say(turn, deadline)

    async def _say(self, turn: AnswerRequest, deadline: float) -> tuple[Call, AnswerEvent]:
        if self._call is None or self._call.done():
            with translated():
                self._call = self._open_stream()
            turn.history = _fitting(self._history)
        call: Call = self._call
        self._is_answering = True
        try:
            with translated():
                await call.write(ChatRequest(turn=turn))
            return call, await self._hear(call, deadline)
        except BaseException:
            self._hang_up(call)
            raise

    async def _hear(self, call: Call, deadline: float) -> AnswerEvent:
        try:
            async with asyncio.timeout_at(deadline):
                with translated():
                    event = await call.read()
        except TimeoutError:
            raise DeadlineExceeded(f"the answer was not complete within {self._answer_s:g} s") from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._call is call or (task and task.cancelling()):
                raise
            raise Aborted("another question was asked before this one was answered") from None
        if not isinstance(event, AnswerEvent):  # grpc.aio.EOF
            raise Unavailable("the conversation was ended before the question was answered; ask again")
        return whole(event)

    def _remember(self, question: str, answer: str) -> None:
        self._history += [Turn(speaker=Speaker.USER, text=question), Turn(speaker=Speaker.ASSISTANT, text=answer)]

    def _hang_up(self, call: Call | None) -> None:
        """Ends a stream, and with it the answer that is being made on it."""
        if call is None:
            return
        if self._call is call:
            self._call, self._is_answering = None, False
        call.cancel()


def _fitting(history: Sequence[Turn]) -> list[Turn]:
    """The newest turns that the mesh takes, from a question on."""
    kept: list[Turn] = []
    characters = 0
    for turn in reversed(history[-TURNS_MAX:]):
        characters += len(turn.text)
        if characters > CHARACTERS_MAX:
            break
        kept.insert(0, turn)
    while kept and kept[0].speaker is not Speaker.USER:
        kept.pop(0)
    return kept
