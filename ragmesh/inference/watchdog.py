"""Watches the models in use with real requests: loads one that is missing, reloads one whose process has died.

Triton goes on saying "ready" for a model whose process is gone, and never starts it again: only an inference tells,
and only unload and load cure. What they can't cure, or a model that is silent, is for whoever restarts the server:
`watch` raises.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from functools import partial

import structlog

from ragmesh.errors import MeshError, Unavailable
from ragmesh.inference.embed import TritonEmbedder
from ragmesh.inference.generate import TritonLanguageModel
from ragmesh.inference.port import Role
from ragmesh.inference.roles import embedding_models, language_models, models
from ragmesh.inference.triton import Triton
from ragmesh.rpc.config import Live

log = structlog.get_logger()

EVERY_S = 1.0
ANSWER_WITHIN_S = 30.0  # a busy model is slow, not dead

Probe = Callable[[], Awaitable[object]]


async def watch(url: str, live: Live) -> None:
    """Probes and heals until it is cancelled. Raises MeshError where a reload is no cure."""
    async with Triton(url) as triton, AsyncExitStack() as opened, asyncio.TaskGroup() as group:
        keeper = _Keeper(triton, live, opened)
        group.create_task(keeper.keep(lambda: embedding_models(live.now), keeper.embeds))
        group.create_task(keeper.keep(lambda: language_models(live.now), keeper.writes))


class _Keeper:
    def __init__(self, triton: Triton, live: Live, opened: AsyncExitStack) -> None:
        self._triton = triton
        self._live = live
        self._opened = opened
        self._probes: dict[str, Probe] = {}

    async def keep(self, wanted: Callable[[], Iterable[str]], opening: Callable[[str], Awaitable[Probe]]) -> None:
        while True:
            for model in wanted():
                if await self._is_loaded(model):
                    await self._probe(model, opening)
            await asyncio.sleep(EVERY_S)

    async def embeds(self, model: str) -> Probe:
        embedder = TritonEmbedder(self._triton.url, model, timeout_s=ANSWER_WITHIN_S)
        await self._opened.enter_async_context(embedder)
        return partial(embedder.embed, ["alive?"], Role.QUERY)

    async def writes(self, model: str) -> Probe:
        llm = TritonLanguageModel(self._triton.url, model)
        await self._opened.enter_async_context(llm)
        return llm.require_alive

    async def _is_loaded(self, model: str) -> bool:
        """Whether a model is ready, now that it was loaded if it was not."""
        try:
            if not await self._triton.is_ready(model):
                await self._triton.load(model)
                log.info("triton.model_loaded", model=model)
        except Unavailable:
            return False  # the server begins, or ends
        except MeshError as error:
            log.warning("triton.model_missing", model=model, reason=error.message)
            return False
        return True

    async def _probe(self, model: str, opening: Callable[[str], Awaitable[Probe]]) -> None:
        if model not in self._probes:
            self._probes[model] = await opening(model)
            if self._probes.keys() >= {*models(self._live.now)}:
                log.info("triton.ready", url=self._triton.url, models=sorted(self._probes))
        try:
            await self._probes[model]()
        except Unavailable as error:
            log.warning("triton.model_died", model=model, reason=error.message)
            await self._triton.reload(model)
            log.info("triton.model_reloaded", model=model)
