"""A text continued by the language model alone: no collection is read."""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from ragmesh.errors import Unavailable
from ragmesh.inference.port import LanguageModel, Sampling
from svc_query.events import AnswerEvent, Done, FinishReason, Token, Usage
from svc_query.timings import Timings


async def complete(prompt: str, sampling: Sampling, llm: LanguageModel) -> AsyncGenerator[AnswerEvent, None]:
    """Streams a continuation: tokens, usage, done. Closing it stops the model. Raises what the model raises."""
    began, first = time.perf_counter(), 0.0
    longest = min(sampling.max_tokens, llm.info.context_length // 2)
    async with aclosing(llm.complete(prompt, replace(sampling, max_tokens=longest))) as pieces:
        async for piece in pieces:
            if piece.text:
                first = first or time.perf_counter()
                yield Token(piece.text)
            if piece.finish_reason is not None:
                yield Usage(piece.prompt_tokens, piece.completion_tokens)
                took_s = time.perf_counter() - began
                first_token_s = first - began if first else took_s
                timings = Timings(first_token_s=first_token_s, generate_s=took_s, total_s=took_s)
                yield Done(FinishReason(piece.finish_reason), timings=timings)
                return
    raise Unavailable("the language model broke off in the middle of the text; ask again")
