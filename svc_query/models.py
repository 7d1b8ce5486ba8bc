"""The language models that answers are written by: opened when the settings name them, kept open from then on."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Self

import structlog

from ragmesh.errors import MeshError
from ragmesh.inference.generate import TritonLanguageModel
from ragmesh.inference.port import LanguageModel
from ragmesh.rpc.config.port import ConfigStore
from ragmesh.settings import Settings
from svc_query.canary import Trial

log = structlog.get_logger()

Pick = Callable[[], LanguageModel]  # the model of one answer, from its beginning to its end
Choice = tuple[str, str]  # the model in use, and the one on trial with its percent


def chosen(settings: Settings) -> Choice:
    """What the settings name."""
    return settings.llm_model, settings.llm_canary


class LanguageModels:
    """Opens language models, each once. Use it with `async with`."""

    def __init__(self, settings: Settings, store: ConfigStore) -> None:
        """`store`: where a trial is ended that goes badly."""
        self._settings = settings
        self._store = store
        self._open: dict[str, TritonLanguageModel] = {}
        self._opening = asyncio.Lock()
        self._refusals = asyncio.TaskGroup()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._refusals.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._refusals.__aexit__(None, None, None)
        await self._stack.aclose()

    async def choose(self, choice: Choice) -> Pick:
        """How an answer gets its model. Waits until both are loaded."""
        model, canary = choice
        used = await self._model(model)
        if not canary:
            return lambda: used
        name, _, percent = canary.partition(" ")
        tried = await self._model(name)
        trial = Trial(used, tried, int(percent), lambda reason: self._refuse(canary, reason))
        return trial.pick

    async def _model(self, name: str) -> TritonLanguageModel:
        async with self._opening:
            if name not in self._open:
                model = TritonLanguageModel(
                    self._settings.triton_url, name, timeout_s=self._settings.answer_timeout_s
                )
                self._open[name] = await self._stack.enter_async_context(model)
            return self._open[name]

    def _refuse(self, canary: str, reason: str) -> None:
        log.warning("canary.refused", reason=reason)
        self._refusals.create_task(self._end_trial(canary, reason))

    async def _end_trial(self, canary: str, reason: str) -> None:
        """Other instances may have ended it, or somebody may have begun another."""
        try:
            present = await self._store.read()
            if present.values.get("llm_canary") != canary:
                return
            await self._store.write("models_refused", reason)
            await self._store.write("llm_canary", None)
        except MeshError as error:  # it is judged again with the next answer
            log.warning("canary.not_ended", reason=error.message)
