"""`python -m bench.swaps`: models are exchanged while 32 clients search and ask, and broken ones are offered.

Counted are requests that failed, answers that more than one version wrote, and searches that did not find what they
found before. The language models sign each word with their version (`bench.signing_model`); the embedding model is
the real one, twice, each with vectors of its own.
"""

import asyncio
import json
import re
import shutil
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console
from rich.table import Table

from bench import signing_model
from bench.corpus import Question, synthetic
from bench.edge import Edge
from bench.fleet import Make, started
from bench.site import PATIENCE
from ragmesh import settings as configuration
from ragmesh.client import Client
from ragmesh.errors import FailedPrecondition, MeshError
from ragmesh.inference import build
from ragmesh.v1 import ReindexState

CLIENTS = 32
SWAPS = 10
SETTLED_S = 2.0  # between two swaps
COLLECTION = "bench"
LLMS = ("signed@1", "signed@2")
TIMEOUT_S = 60.0


@dataclass(slots=True)
class Seen:
    """What the clients saw while models were exchanged."""

    what: str
    swaps: int = 0
    searches: int = 0
    answers: int = 0
    failed: dict[str, int] = field(default_factory=dict[str, int])  # by why
    mixed: int = 0  # answers with words of two versions, or of another than they say
    missed: int = 0  # searches that did not find their passage
    by_model: dict[str, int] = field(default_factory=dict[str, int])
    refused: dict[str, str] = field(default_factory=dict[str, str])  # broken ones, and the reason that was told


class Users:
    """Clients that search and ask without a pause."""

    def __init__(self, client: Client, questions: Sequence[Question]) -> None:
        self._client = client
        self._questions = [*questions]
        self._number = 0

    @asynccontextmanager
    async def watching(self, seen: Seen) -> AsyncGenerator[None, None]:
        """Their requests inside the block are counted."""
        users = [
            asyncio.create_task(self._repeat(self._search if number % 2 else self._ask, seen))
            for number in range(CLIENTS)
        ]
        try:
            yield
        finally:
            for user in users:
                user.cancel()
            await asyncio.wait(users)

    async def _repeat(self, request: Callable[[Seen], Awaitable[None]], seen: Seen) -> None:
        while True:
            try:
                await request(seen)
            except MeshError as error:
                _count(seen.failed, f"{error.code}: {error.message}"[:160])

    async def warm_up(self) -> None:
        """Keeps those questions whose passage is found while nothing is exchanged."""
        tried = Seen("warm-up")
        asked, self._questions = self._questions, []
        for question in asked:
            missed = tried.missed
            await self._find(question, tried)
            if tried.missed == missed:
                self._questions.append(question)
        print(f"{len(self._questions)} of {len(asked)} questions are found at rest")

    async def _search(self, seen: Seen) -> None:
        await self._find(self._next(), seen)

    def _next(self) -> Question:
        self._number += 1
        return self._questions[self._number % len(self._questions)]

    async def _find(self, question: Question, seen: Seen) -> None:
        found = await self._client.search(question.text, collection=COLLECTION, top_k=3, timeout=TIMEOUT_S)
        seen.searches += 1
        _count(seen.by_model, found.model)
        names = [result.chunk.document_name for result in found.results if result.chunk]
        seen.missed += not any(name.startswith(question.passage_id + ".") for name in names)

    async def _ask(self, seen: Seen) -> None:
        text, model = "", ""
        asked = f"{self._next().text} ({self._number})"  # which nobody has asked before
        async for event in self._client.answer(asked, collection=COLLECTION, timeout=TIMEOUT_S):
            text += event.token.text if event.token else ""
            model = event.done.model if event.done else model
            if event.error:
                _count(seen.failed, f"{event.error.code}: {event.error.message}"[:160])
                return
        seen.answers += 1
        _count(seen.by_model, model)
        versions = set(re.findall(signing_model.SIGN + r"(\d+)", text))
        seen.mixed += versions != {model.rpartition("/")[2]}


async def swap_language_models(client: Client, users: Users) -> Seen:
    """Two versions take turns."""
    seen = Seen("language model")
    async with users.watching(seen):
        for number in range(SWAPS):
            await asyncio.sleep(SETTLED_S)
            await client.promote_model(LLMS[(number + 1) % 2])
            seen.swaps += 1
        await asyncio.sleep(SETTLED_S)
    return seen


async def swap_embedders(client: Client, users: Users) -> Seen:
    """Searches go over between two spaces."""
    seen = Seen("embedding model")
    async with users.watching(seen):
        for number in range(SWAPS):
            await asyncio.sleep(SETTLED_S)
            await client.promote_model(f"e5-small@{number % 2 + 1}")
            seen.swaps += 1
        await asyncio.sleep(SETTLED_S)
    return seen


async def offer_broken(client: Client, users: Users) -> Seen:
    """Versions that can't serve, each twice: none may be put to use."""
    seen = Seen("broken models")
    async with users.watching(seen):
        for number in range(SWAPS):
            fault = [*signing_model.BROKEN][number % len(signing_model.BROKEN)]
            try:
                await client.promote_model(_broken(fault))
            except FailedPrecondition as error:
                seen.refused[fault] = error.message
                continue
            seen.swaps += 1
    return seen


async def _reindexed(client: Client, model: str) -> None:
    begun = await client.start_reindex(model)
    while (found := await client.reindex(begun.id)).state is not ReindexState.ACTIVE:
        if found.state is ReindexState.FAILED:
            raise RuntimeError(found.reason)
        await asyncio.sleep(0.5)


def _count(counts: dict[str, int], key: str) -> None:
    counts[key] = counts.get(key, 0) + 1


def _broken(fault: str) -> str:
    return f"broken@{[*signing_model.BROKEN].index(fault) + 1}"


def _repository(folder: Path) -> Path:
    """The real embedding model twice, the real language model, and those that sign."""
    settings = configuration.load()
    real = build.build(settings, lambda step, share: print(f"models {share:4.0%}: {step}"))
    target = folder / "models"
    for model in (settings.embedding, settings.llm_model):
        shutil.copytree(real / model, target / model)
    second = target / "e5-small@2"
    shutil.copytree(real / settings.embedding, second)
    config = (second / "config.pbtxt").read_text(encoding="utf-8")
    (second / "config.pbtxt").write_text(config.replace(settings.embedding, "e5-small@2"), encoding="utf-8")
    for name in LLMS:
        signing_model.add(target, name)
    for fault in signing_model.BROKEN:
        signing_model.add(target, _broken(fault), fault)
    return target


async def _measure(folder: Path) -> list[Seen]:
    async with AsyncExitStack() as opened:
        planned = await opened.enter_async_context(started(Make("swaps"), _repository(folder), folder / "mesh"))
        edge = await opened.enter_async_context(Edge.at(planned.url))
        client = await opened.enter_async_context(Client(planned.settings))
        for key, value in PATIENCE.items():
            await client.set_config(key, value)
        corpus = synthetic()
        await edge.add_all(COLLECTION, corpus.passages)
        await client.promote_model(LLMS[0])
        await _reindexed(client, "e5-small@2")
        await asyncio.sleep(SETTLED_S)
        users = Users(client, corpus.questions)
        await users.warm_up()
        seen: list[Seen] = []
        for swap in (swap_language_models, offer_broken, swap_embedders):
            seen.append(await swap(client, users))
            print(asdict(seen[-1]), flush=True)
        return seen


def main(json_: Annotated[Path | None, typer.Option("--json", help="file to write the figures to")] = None) -> None:
    """Exchanges models of a mesh of its own while it is used."""
    with tempfile.TemporaryDirectory() as folder:
        seen = uvloop.run(_measure(Path(folder)))
    table = Table("exchanged", "times", "searches", "answers", "failed", "mixed", "not found", "answered by")
    for each in seen:
        table.add_row(
            *(each.what, f"{each.swaps}", f"{each.searches}", f"{each.answers}", f"{sum(each.failed.values())}"),
            *(f"{each.mixed}", f"{each.missed}", ", ".join(f"{k} {v}" for k, v in sorted(each.by_model.items()))),
        )
    Console(width=160).print(table)
    for each in seen:
        for fault, reason in each.refused.items():
            print(f"refused, which {fault}: {reason}")
    if json_:
        json_.write_text(json.dumps([asdict(each) for each in seen], indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
