"""A conversation on one stream: each turn is answered in the light of those before, and a new one ends the running.

async for event in Conversation(answers.ask, idle_s=600).follow(turns): ...
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from ragmesh.errors import DeadlineExceeded, MeshError
from svc_query.answer import Question
from svc_query.condense import Speaker, Turn
from svc_query.events import AnswerEvent, Done, Token

TURNS_MAX = 256
CHARS_MAX = 65_536

Ask = Callable[[Question], AsyncGenerator[AnswerEvent, None]]


@dataclass(frozen=True, slots=True)
class Superseded:
    """The end of a turn whose place a newer one took."""


TurnEvent = AnswerEvent | Superseded | MeshError


class Conversation:
    """What was said on one stream, and what is being answered."""

    def __init__(self, ask: Ask, *, idle_s: float) -> None:
        """`idle_s` bounds how long a turn is waited for: a stream holds a place of the server's."""
        self._ask = ask
        self._idle_s = idle_s
        self._history: tuple[Turn, ...] = ()

    async def follow(self, turns: AsyncIterator[Question | MeshError]) -> AsyncGenerator[TurnEvent, None]:
        """The events of each turn. What a turn ran into is its last event, and the conversation goes on.

        A turn that could not be read comes as its error. Raises DeadlineExceeded where no turn comes for too long.
        """
        upcoming = asyncio.ensure_future(anext(turns, None))
        try:
            while (turn := await self._awaited(upcoming)) is not None:
                upcoming = asyncio.ensure_future(anext(turns, None))
                async with aclosing(_until(upcoming, self._answered(turn))) as events:
                    async for event in events:
                        yield event
        finally:
            upcoming.cancel()
            await asyncio.gather(upcoming, return_exceptions=True)

    async def _awaited(
        self, upcoming: "asyncio.Future[Question | MeshError | None]"
    ) -> Question | MeshError | None:
        if not (await asyncio.wait((upcoming,), timeout=self._idle_s))[0]:
            raise DeadlineExceeded(
                f"no turn came for {self._idle_s:g} s: go on in a new stream, with what was said as history"
            )
        return upcoming.result()

    async def _answered(self, turn: Question | MeshError) -> AsyncGenerator[TurnEvent, None]:
        """The events of a turn, which is remembered once it is complete."""
        if isinstance(turn, MeshError):
            yield turn
            return
        question = replace(turn, history=bounded((*self._history, *turn.history)))
        text: list[str] = []
        try:
            async with aclosing(self._ask(question)) as events:
                async for event in events:
                    if isinstance(event, Token):
                        text.append(event.text)
                    if isinstance(event, Done):
                        said = Turn(Speaker.USER, turn.text), Turn(Speaker.ASSISTANT, "".join(text))
                        self._history = bounded((*question.history, *said))
                    yield event
        except MeshError as error:
            yield error


def bounded(history: Sequence[Turn]) -> tuple[Turn, ...]:
    """The newest turns that are not too many, nor too long together."""
    kept, chars = 0, 0
    for turn in reversed(history[-TURNS_MAX:]):
        chars += len(turn.text)
        if chars > CHARS_MAX:
            break
        kept += 1
    return tuple(history[len(history) - kept :])


async def _until(
    upcoming: "asyncio.Future[Question | MeshError | None]", events: AsyncGenerator[TurnEvent, None]
) -> AsyncGenerator[TurnEvent, None]:
    """Events until there are no more, or until a new turn takes their place, which is said.

    The end of the turns is no new turn, and an answer that was told to its end is not broken off any more.
    """
    async with aclosing(events):
        coming, is_over = asyncio.ensure_future(anext(events, None)), False
        try:
            while True:
                await asyncio.wait((coming, upcoming), return_when=asyncio.FIRST_COMPLETED)
                if is_over or (upcoming.done() and upcoming.result() is None):
                    await asyncio.wait((coming,))
                if not coming.done():
                    yield Superseded()
                    return
                if (event := coming.result()) is None:
                    return
                coming, is_over = asyncio.ensure_future(anext(events, None)), isinstance(event, Done | MeshError)
                yield event
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
