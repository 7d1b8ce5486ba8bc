"""Why a call was refused that was still being sent to.

with translated():
    async with refusal_of(call):
        await call.write(message)

grpc.aio loses it: a message that meets the refusal on its way fails, and this failure takes the place of the
refusal, or is told first and the refusal comes a moment behind it.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import grpc

from ragmesh.rpc.errors import is_from_handler

BEHIND_S = 0.5  # a connection that broke brings no refusal at all
LOOK_EVERY_S = 0.002

T = TypeVar("T")


@asynccontextmanager
async def refusal_of(call: grpc.aio.Call) -> AsyncIterator[None]:
    """Raises what the server refused the call with in the place of what grpc raises."""
    ends: list[grpc.aio.AioRpcError] = []  # the first that is told; a later one is not
    call.add_done_callback(lambda _: ends.append(_end_of(call)))
    try:
        yield
    except grpc.aio.AioRpcError as error:
        heard = [end for end in ends if is_from_handler(end)]
        raise (heard[0] if heard else await _later_end_of(call) or error) from None


async def _later_end_of(call: grpc.aio.Call) -> grpc.aio.AioRpcError | None:
    for _ in range(int(BEHIND_S / LOOK_EVERY_S)):
        if is_from_handler(end := _end_of(call)):
            return end
        await asyncio.sleep(LOOK_EVERY_S)
    return None


def _end_of(call: grpc.aio.Call) -> grpc.aio.AioRpcError:
    """How a call that is done has ended, as it says now."""
    code, trailers, details = _told(call.code()), _told(call.trailing_metadata()), _told(call.details())
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailers, details)


def _told(question: Coroutine[Any, Any, T]) -> T:
    """The answer to what needs no wait."""
    try:
        question.send(None)
    except StopIteration as answer:
        return answer.value
    question.close()
    raise RuntimeError("a call that is done does not know its end")
