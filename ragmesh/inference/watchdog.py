"""Watches Triton's models with real questions, and reloads one whose Python process has died.

Triton goes on saying "ready" for a model whose process is gone, and never starts it again: only an inference tells,
and only unload and load cure.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from types import TracebackType
from typing import Self

import structlog

from ragmesh.errors import MeshError
from ragmesh.inference.embed import TritonEmbedder
from ragmesh.inference.generate import TritonLanguageModel
from ragmesh.inference.port import Message, Role, Sampling
from ragmesh.inference.triton import Triton

log = structlog.get_logger()

EVERY_S = 2.0
ANSWER_WITHIN_S = 20.0  # a busy language model is slow, not dead


class Watchdog:
    """Probes and heals while it is entered."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        async with (
            TritonEmbedder(self._url, timeout_s=ANSWER_WITHIN_S) as embedder,
            TritonLanguageModel(self._url, timeout_s=ANSWER_WITHIN_S) as llm,
            Triton(self._url) as triton,
        ):
            log.info("triton.ready", url=self._url)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._keep("embed", lambda: _ask_embedder(embedder), triton))
                group.create_task(self._keep("llm", lambda: _ask_llm(llm), triton))

    async def _keep(self, model: str, probe: Callable[[], Awaitable[None]], triton: Triton) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await probe()
            except MeshError as error:
                log.warning("triton.probe_failed", model=model, reason=error.message)
                await self._heal(model, triton)

    async def _heal(self, model: str, triton: Triton) -> None:
        try:
            await triton.reload(model)
            log.info("triton.model_reloaded", model=model)
        except MeshError as error:
            log.warning("triton.reload_failed", model=model, reason=error.message)


async def _ask_embedder(embedder: TritonEmbedder) -> None:
    await embedder.embed(["alive?"], Role.QUERY)


async def _ask_llm(llm: TritonLanguageModel) -> None:
    async with aclosing(llm.generate([Message("user", "alive?")], Sampling(max_tokens=1))) as pieces:
        async for _ in pieces:
            return
