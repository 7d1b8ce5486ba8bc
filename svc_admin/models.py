"""Models that are changed while users are served: loaded, asked golden questions, put to use, taken back.

Which version each role uses is a dynamic setting, so every service follows within a second; whoever has begun with
the old version finishes with it.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import TypeVar

import structlog

from ragmesh.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    MeshError,
    NotFound,
    Unavailable,
)
from ragmesh.inference import golden
from ragmesh.inference.embed import TritonEmbedder
from ragmesh.inference.generate import TritonLanguageModel
from ragmesh.inference.golden import Questions, Verdict
from ragmesh.inference.manifest import misfit
from ragmesh.inference.port import ModelId
from ragmesh.inference.roles import embedding_models, models
from ragmesh.inference.triton import ModelStatus, Triton
from ragmesh.rpc.config import ConfigStore, Live
from ragmesh.settings import MODEL, Settings

log = structlog.get_logger()

Model = TypeVar("Model")

VERIFIED_WITHIN_S = 60.0  # each request of a golden question
SETTING = {"embed": "embed_model", "llm": "llm_model", "rerank": "rerank_model"}
BEFORE = {"embed": "embed_before", "llm": "llm_before", "rerank": "rerank_before"}
CANARY = {"llm": "llm_canary"}


class Models:
    """The versions in Triton's repository."""

    def __init__(
        self, triton: Triton, live: Live, store: ConfigStore, lead: Callable[[ModelId], Awaitable[None]]
    ) -> None:
        """`lead`: points those who read Milvus by its alias at a model's chunks."""
        self._triton = triton
        self._live = live
        self._store = store
        self._lead = lead

    async def all(self) -> Sequence[ModelStatus]:
        """Every version, by name, without the parts that only a version asks. Raises Unavailable."""
        return [status for status in await self._triton.models() if not _is_part(status.name)]

    async def load(self, name: str, version: str) -> ModelId:
        """Loads a version; the newest where none is named. Raises NotFound, FailedPrecondition with the reason."""
        model = await self._known(name, version)
        try:
            await self._triton.load(str(model))
        except MeshError as error:
            raise FailedPrecondition(f"{model} can't be loaded: {error.message}") from error
        await self._require_fit(model)
        log.info("model.loaded", model=str(model))
        return model

    async def unload(self, name: str, version: str) -> None:
        """Unloads a version. Raises FailedPrecondition where requests go to it, NotFound."""
        model = await self._known(name, version)
        if str(model) in models(self._live.now):
            raise FailedPrecondition(f"{model} is in use: promote another version first, or drop its index")
        await self._triton.unload(str(model))
        log.info("model.unloaded", model=str(model))

    async def verify(self, name: str, version: str) -> Verdict:
        """Golden questions for a version, beside the one in use; it is loaded for that. Raises MeshError."""
        model = await self._ready(name, version)
        role = await self._role(model)
        present = _in_use(self._live.now, role)
        questions = golden.read(self._live.now.golden)
        compared = [str(model), *([present] if present and present != str(model) else [])]
        try:
            async with AsyncExitStack() as opened:
                verdict = await self._judge(role, compared, questions, opened)
        except (Internal, InvalidArgument, DeadlineExceeded, Unavailable) as error:
            raise FailedPrecondition(f"{model} can't answer golden questions: {error.message}") from error
        log.info("model.verified", model=str(model), passed=verdict.passed, reason=verdict.reason)
        return verdict

    async def _judge(
        self, role: str, compared: Sequence[str], questions: Questions, opened: AsyncExitStack
    ) -> Verdict:
        """A version, and the one in use if there is another."""
        if role == "embed":
            embedders = [await self._embedder(opened, each) for each in compared]
            return await golden.of_embedder(*_with_present(embedders), questions)
        if role == "llm":
            writers = [await self._language_model(opened, each) for each in compared]
            return await golden.of_language_model(*_with_present(writers), questions)
        raise FailedPrecondition(f"{compared[0]} is for {role or 'no role'}, which ragmesh does not know")

    async def promote(self, name: str, version: str, percent: int | None) -> ModelId:
        """Puts a version to use, once it has passed. Raises FailedPrecondition with the reason if not."""
        model = await self._known(name, version)
        await self._require_good(model)
        role = await self._role(model)
        if percent is not None and percent < 100:
            await self._try(role, model, percent)
        elif role == "embed":
            await self._go_over(model)
        else:
            await self._replace(role, model)
        return model

    async def roll_back(self, role: str) -> ModelId:
        """Ends a trial, or else goes back to the version before. Raises FailedPrecondition where there is none."""
        now = self._live.now
        if role in CANARY and getattr(now, CANARY[role]):
            await self._write({CANARY[role]: None})
            return ModelId.parse(_in_use(now, role))
        before = getattr(now, BEFORE[role])
        if not before:
            raise FailedPrecondition("no version was used before the present one: there is nothing to go back to")
        model = ModelId.parse(before)
        await self._ready(model.name, model.version)
        if role == "embed":
            await self._go_over(model)
        else:
            await self._replace(role, model)
        return model

    async def begin_reembedding(self, name: str, version: str) -> ModelId:
        """Lets the workers embed everything with another model. Raises FailedPrecondition, with the reason."""
        model = await self._known(name, version)
        now = self._live.now
        if str(model) == now.embedding:
            raise FailedPrecondition(f"{model} is in use already")
        if now.embed_next and now.embed_next != str(model):
            raise FailedPrecondition(f"documents are being embedded with {now.embed_next}: wait until that is over")
        await self._require_good(model)
        if await self._role(model) != "embed":
            raise InvalidArgument(f"{model} is no embedding model", field="model")
        await self._write({"embed_next": str(model)})
        return model

    async def stop_keeping(self, name: str, version: str) -> ModelId:
        """No longer writes vectors of a model. Raises FailedPrecondition where searches need them."""
        model = ModelId(name, version)
        now = self._live.now
        if str(model) in (now.embedding, now.embed_next):
            raise FailedPrecondition(f"{model} is in use: let searches go over to another model first")
        if str(model) not in embedding_models(now):
            raise NotFound(f"no vectors of {model} are kept")
        left = [each for each in now.embed_also.split() if each != str(model)]
        forgotten = {"embed_before": None} if now.embed_before == str(model) else {}
        await self._write({"embed_also": " ".join(left) or None, **forgotten})
        return model

    async def _ready(self, name: str, version: str) -> ModelId:
        """A version that takes requests, loaded if it did not."""
        model = await self._known(name, version)
        return model if await self._triton.is_ready(str(model)) else await self.load(name, version)

    async def _require_fit(self, model: ModelId) -> None:
        """Raises FailedPrecondition where a version was made for another Triton; then it is unloaded."""
        told = await self._triton.parameters(str(model))
        made_for: Mapping[str, str] = json.loads(told.get("made_for") or "{}")
        server = {name: wanted for name, wanted in made_for.items() if name == "triton"}
        if reason := misfit(server, await self._triton.version()):
            await self._triton.unload(str(model))
            raise FailedPrecondition(f"{model} can't be used here: {reason}")

    async def _require_good(self, model: ModelId) -> None:
        """Raises FailedPrecondition where a version does not pass; then it takes no memory any more either."""
        try:
            verdict = await self.verify(model.name, model.version)
            if not verdict.passed:
                raise FailedPrecondition(f"{model} is not put to use: {verdict.reason}")
        except FailedPrecondition:
            if str(model) not in models(self._live.now):
                await self._triton.unload(str(model))
            raise

    async def _try(self, role: str, model: ModelId, percent: int) -> None:
        if role not in CANARY:
            raise InvalidArgument(
                "only a language model can be tried on some requests: searches go over to an embedding model at "
                "once, when all documents have its vectors",
                field="percent",
            )
        if not 1 <= percent <= 100:
            raise InvalidArgument(f"percent is from 1 to 100, not {percent}", field="percent")
        await self._write({"models_refused": None, CANARY[role]: f"{model} {percent}"})

    async def _replace(self, role: str, model: ModelId) -> None:
        present = _in_use(self._live.now, role)
        trial = {CANARY[role]: None} if role in CANARY else {}
        before = {BEFORE[role]: present or None} if present != str(model) else {}
        await self._write({**before, SETTING[role]: str(model), **trial})

    async def _go_over(self, model: ModelId) -> None:
        """Searches of the other vectors, which must all be there. The ones in use are kept up from then on."""
        now = self._live.now
        if str(model) == now.embedding:
            return
        if str(model) not in now.embed_also.split():
            raise FailedPrecondition(
                f"documents have no vectors of {model} yet: `ragmesh models reindex {model}` makes them, and then "
                "searches go over"
            )
        kept = dict.fromkeys([now.embedding, *now.embed_also.split()])
        await self._write(
            {"embed_also": " ".join(kept), "embed_before": now.embedding, SETTING["embed"]: str(model)}
        )
        await self._lead(model)

    async def _write(self, values: Mapping[str, str | None]) -> None:
        """In this order. This process has them in effect when it returns."""
        for name, value in values.items():
            await self._store.write(name, value)
        await self._live.take(await self._store.read())

    async def _known(self, name: str, version: str) -> ModelId:
        """A version of the repository. Raises NotFound, saying which there are."""
        wanted = ModelId(name, version)
        found = sorted(set(await self._triton.names()))
        versions = [ModelId.parse(each) for each in found if MODEL.fullmatch(each)]
        mine = [each for each in versions if each.name == name]
        if not version and mine:
            return max(mine, key=lambda each: int(each.version))
        if wanted not in versions:
            there = ", ".join(map(str, versions)) or "no models"
            raise NotFound(f"the repository has no {str(wanted).rstrip('@')}; it has {there}")
        return wanted

    async def _role(self, model: ModelId) -> str:
        return (await self._triton.parameters(str(model))).get("role", "")

    async def _embedder(self, opened: AsyncExitStack, model: str) -> TritonEmbedder:
        embedder = TritonEmbedder(self._triton.url, model, timeout_s=VERIFIED_WITHIN_S)
        return await opened.enter_async_context(embedder)

    async def _language_model(self, opened: AsyncExitStack, model: str) -> TritonLanguageModel:
        llm = TritonLanguageModel(self._triton.url, model, timeout_s=VERIFIED_WITHIN_S)
        return await opened.enter_async_context(llm)


def _is_part(name: str) -> bool:
    """Whether a model is NAME@VERSION.PART."""
    return MODEL.fullmatch(name.rpartition(".")[0]) is not None


def _in_use(settings: Settings, role: str) -> str:
    """The version of a role that is used; empty for none."""
    return settings.embedding if role == "embed" else getattr(settings, SETTING.get(role, ""), "")


def _with_present(compared: Sequence[Model]) -> tuple[Model, Model | None]:
    return compared[0], compared[1] if len(compared) > 1 else None
