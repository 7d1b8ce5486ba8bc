"""A text continued by the language model alone: no collection is read."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from ragmesh.errors import Unavailable
from ragmesh.inference.port import LanguageModel, Sampling
from svc_query.events import AnswerEvent, Done, FinishReason, Token, Usage


async def complete(prompt: str, sampling: Sampling, llm: LanguageModel) -> AsyncGenerator[AnswerEvent, None]:
    """Streams a continuation: tokens, usage, done. Closing it stops the model. Raises what the model raises."""
    longest = min(sampling.max_tokens, llm.info.context_length // 2)
    async with aclosing(llm.complete(prompt, replace(sampling, max_tokens=longest))) as pieces:
        async for piece in pieces:
            if piece.text:
                yield Token(piece.text)
            if piece.finish_reason is not None:
                yield Usage(piece.prompt_tokens, piece.completion_tokens)
                yield Done(FinishReason(piece.finish_reason))
                return
    raise Unavailable("the language model broke off in the middle of the text; ask again")
