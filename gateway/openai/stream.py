"""OpenAI's streams: blocks of data without a name, errors among them, and a last one that says so."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from aiohttp import web

from gateway import sse
from gateway.problem import dumps, openai_error
from ragmesh.errors import MeshError

END = b"data: [DONE]\n\n"


async def stream(request: web.Request, chunks: AsyncGenerator[Any, None]) -> web.StreamResponse:
    """Answers with chunks as they come. What fails before the first one is a status, later an error among them."""
    return await sse.respond(request, _blocks(chunks), failure=_failure)


async def _blocks(chunks: AsyncGenerator[Any, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(chunks):
        async for chunk in chunks:
            yield _block(chunk)
    yield END


def _failure(error: MeshError) -> bytes:
    return _block(openai_error(error))


def _block(content: Any) -> bytes:
    return f"data: {dumps(content)}\n\n".encode()
