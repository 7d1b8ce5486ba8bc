"""Models of a real mesh are changed while it is used: put to use, tried, taken back, and succeeded by another."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import pytest_asyncio
from pymilvus import MilvusClient

from bench import signing_model
from ragmesh import Client
from ragmesh.errors import FailedPrecondition, NotFound
from ragmesh.inference.build import build
from ragmesh.inference.port import ModelId
from ragmesh.settings import Settings
from ragmesh.up.state import of_running_mesh
from ragmesh.v1 import ModelRole, Reindex, ReindexState
from tests.mesh import Mesh, running_mesh
from tests.triton_server import CACHE

NOTE = (
    "The ferry to the island leaves at nine in the morning from pier {number}, and comes back at six. "
    "Tickets for pier {number} are sold at the kiosk beside it, in cash only; children under six travel free."
)
DOCUMENTS = 60
OVER = (ReindexState.ACTIVE, ReindexState.FAILED)


@dataclass
class Changing:
    """A mesh whose models a test may change, and a client of it."""

    mesh: Mesh
    client: Client

    async def answered_by(self, question: str) -> str:
        return (await self.client.ask(question)).model

    async def is_searched_by(self, model: str) -> None:
        """Returns once searches use a model."""
        await self.until_searched(lambda found: found == model)

    async def until_searched(self, is_wanted: Callable[[str], bool]) -> None:
        async with asyncio.timeout(10):
            while not is_wanted((await self.client.search("ferry", top_k=1)).model):  # noqa: ASYNC110 nothing tells
                await asyncio.sleep(0.1)

    def led_by(self) -> str:
        """The collection in Milvus that the alias names."""
        milvus = MilvusClient(of_running_mesh(Settings(data_dir=self.mesh.data_dir)).milvus_uri)
        try:
            return str(milvus.describe_alias("chunks")["collection_name"])
        finally:
            milvus.close()

    async def reindexed(self, model: str) -> Reindex:
        async with asyncio.timeout(120):
            while (found := await self.client.reindex(model)).state not in OVER:  # noqa: ASYNC110 nothing tells
                await asyncio.sleep(0.2)
        return found

    @asynccontextmanager
    async def searching(self) -> AsyncIterator[list[str]]:
        """Searches without a pause inside the block, each of which must find something; says by which models."""
        models: list[str] = []

        async def search() -> None:
            while True:
                found = await self.client.search("When does the ferry leave from pier 7?", top_k=3)
                assert found.results
                models.append(found.model)

        searches = [asyncio.create_task(search()) for _ in range(4)]
        yield models
        for one in searches:
            assert not one.done(), one.exception()
            one.cancel()


def repository(folder: Path) -> Path:
    """Models that a test may change: both embedders, and language models that sign what they say."""
    settings = Settings(models_dir=CACHE / "repository")
    build(settings, lambda _step, _share: None)
    build(settings, lambda _step, _share: None, [ModelId("minilm-l6", "1")])
    for model in ("e5-small@1", "minilm-l6@1", "smollm2-135m@1"):
        shutil.copytree(settings.models / model, folder / model, copy_function=os.link)
    for name, fault in (
        ("signed@1", ""),
        ("signed@2", ""),
        ("signed@3", "says nothing"),
        ("signed@4", "fails later"),
    ):
        signing_model.add(folder, name, fault)
    return folder


@pytest_asyncio.fixture(scope="module")
async def changing(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Changing]:
    models = await asyncio.to_thread(repository, tmp_path_factory.mktemp("models"))
    data = tmp_path_factory.mktemp("data")
    async with running_mesh(data, RAGMESH_MODELS_DIR=str(models), RAGMESH_ANSWER_CACHE="false") as mesh:
        for start in range(0, DOCUMENTS, 15):
            await asyncio.gather(
                *(mesh.add(f"{n}.md", NOTE.format(number=n).encode()) for n in range(start, start + 15))
            )
        async with Client(of_running_mesh(Settings(data_dir=data))) as client:
            yield Changing(mesh, client)


async def test_a_version_that_passes_answers_from_then_on_and_one_that_does_not_is_refused(changing: Changing):
    client = changing.client

    made = await client.promote_model("signed@1")

    assert (made.name, made.version, made.percent, made.role) == ("signed", "1", 100, ModelRole.LLM)
    async with asyncio.timeout(20):
        while await changing.answered_by("When does the ferry leave?") != "signed/1":
            pass
    await client.promote_model("signed@2")

    with pytest.raises(FailedPrecondition, match=r"answered is 0\.00"):
        await client.promote_model("signed@3")


async def test_the_newest_version_is_meant_where_none_is_named_and_what_is_not_there_is_told(changing: Changing):
    loaded = await changing.client.load_model("signed")

    assert (loaded.version, loaded.state, loaded.active) == ("4", "READY", False)
    with pytest.raises(NotFound, match="it has e5-small@1, minilm-l6@1"):
        await changing.client.load_model("nosuch@1")
    with pytest.raises(FailedPrecondition, match="is in use"):
        await changing.client.unload_model("e5-small@1")


async def test_a_version_on_trial_that_fails_harms_nobody_and_is_taken_back_with_the_reason(changing: Changing):
    client = changing.client
    await client.promote_model("signed@1")
    await client.promote_model("signed@4", percent=50)
    shares = {f"{model.name}@{model.version}": model.percent for model in await client.models()}
    assert (shares["signed@1"], shares["signed@4"]) == (50, 50)

    async with asyncio.timeout(60):
        while (trial := await _setting(client, "RAGMESH_LLM_CANARY")) != "":
            answers = await asyncio.gather(*(client.ask(f"Is pier {n} open? {trial}") for n in range(8)))
            assert {answer.model for answer in answers} == {"signed/1"}

    refused = next(model for model in await client.models() if (model.name, model.version) == ("signed", "4"))
    assert refused.percent == 0
    assert "answers failed" in refused.reason
    assert "out of memory" in refused.reason


async def test_a_trial_can_be_ended_by_hand_and_a_version_taken_back(changing: Changing):
    client = changing.client
    await client.promote_model("signed@1")
    await client.promote_model("signed@2", percent=10)

    assert (await client.roll_back_model(ModelRole.LLM)).version == "1"
    await client.promote_model("signed@2")
    assert (await client.roll_back_model(ModelRole.LLM)).version == "1"
    assert await _setting(client, "RAGMESH_LLM_MODEL") == "signed@1"


async def test_searches_go_over_to_another_embedding_model_though_its_worker_is_killed(changing: Changing):
    client = changing.client
    doomed = (await client.search("ferry pier 9", top_k=1)).results[0].chunk.document_id

    async with changing.searching() as models:
        await client.start_reindex("minilm-l6@1")
        async with asyncio.timeout(30):
            while (await client.reindex("minilm-l6@1")).chunks_done == 0:  # noqa: ASYNC110 nothing tells
                await asyncio.sleep(0.02)
        psutil.Process(changing.mesh.state()["processes"]["worker"]["pid"]).send_signal(signal.SIGKILL)
        await client.delete(doomed)
        await changing.mesh.add("late.md", b"The night bus to the harbour leaves at eleven.")
        found = await changing.reindexed("minilm-l6@1")
        await changing.is_searched_by("minilm-l6/1")

    assert (found.state, found.active, found.reason) == (ReindexState.ACTIVE, True, "")
    assert changing.led_by() == "chunks_minilm_l6_1"
    assert set(models) == {"e5-small/1", "minilm-l6/1"}
    late = await client.search("When does the night bus leave?", top_k=1)
    assert (late.results[0].chunk.document_name, late.model) == ("late.md", "minilm-l6/1")
    names = {(await client.search(f"pier {n}", top_k=8)).results[0].chunk.document_name for n in range(20)}
    assert len(names) > 10
    everything = await client.search("ferry", top_k=100)
    assert len(everything.results) == DOCUMENTS
    assert doomed not in {result.chunk.document_id for result in everything.results}


async def test_going_back_needs_no_new_vectors_and_dropped_ones_are_gone(changing: Changing):
    client = changing.client
    await changing.mesh.add("later.md", b"The cable car runs until midnight.")

    back = await client.roll_back_model(ModelRole.EMBED)
    await changing.is_searched_by("e5-small/1")
    assert changing.led_by() == "chunks_e5_small_1"

    assert (back.name, back.version) == ("e5-small", "1")
    found = await client.search("Until when does the cable car run?", top_k=1)
    assert found.results[0].chunk.document_name == "later.md"  # which was written into both
    with pytest.raises(FailedPrecondition, match="in use"):
        await client.drop_index("e5-small@1")
    await client.drop_index("minilm-l6@1")
    with pytest.raises(FailedPrecondition, match="have no vectors of minilm-l6@1"):
        await client.promote_model("minilm-l6@1")


async def _setting(client: Client, key: str) -> str:
    return next(setting.value for setting in (await client.config()).settings if setting.key == key)
