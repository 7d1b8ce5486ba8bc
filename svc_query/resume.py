"""Going on with an answer that somebody else began."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from ragmesh.errors import Unavailable
from svc_query.events import AnswerEvent, Sources, Token, Usage


async def resumed(
    heard: Sequence[AnswerEvent], anew: AsyncGenerator[AnswerEvent, None]
) -> AsyncGenerator[AnswerEvent, None]:
    """What comes after the events that were heard, out of the same answer written anew.

    Raises Unavailable where it is not the same: what was shown can't be taken back.
    """
    rest = "".join(event.text for event in heard if isinstance(event, Token))
    sources = next((event for event in heard if isinstance(event, Sources)), None)
    async with aclosing(anew):
        async for event in anew:
            match event:
                case Sources() if sources:
                    _check(_passages(event) == _passages(sources))
                case Token(text):
                    common = min(len(text), len(rest))
                    _check(text[:common] == rest[:common])
                    rest = rest[common:]
                    if common < len(text):
                        yield Token(text[common:])
                case Usage() if event in heard:
                    pass
                case _:
                    _check(not rest)
                    yield event


def _passages(sources: Sources) -> list[str]:
    return [citation.chunk.chunk_id for citation in sources.citations]


def _check(same: bool) -> None:  # noqa: FBT001 a condition, as of an assertion
    if not same:
        raise Unavailable("the instance that wrote this answer is gone, in the middle of it; ask again")
