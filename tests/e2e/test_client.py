"""The SDK against a whole mesh, and the examples of its guide."""

import asyncio
import os
import re
import sys
from contextlib import aclosing
from pathlib import Path

import pytest

import ragmesh
from ragmesh.settings import Settings
from ragmesh.up.state import of_running_mesh
from tests.mesh import Mesh

GUIDE = Path(__file__).parents[2] / "docs" / "sdk.md"
NOTE = b"The ferry to the island leaves at half past six. Dogs travel free of charge."


@pytest.fixture
def target(mesh: Mesh) -> str:
    return of_running_mesh(Settings(data_dir=mesh.data_dir)).discovery_url


async def test_what_is_added_is_found_read_and_talked_about(mesh: Mesh, collection: str, target: str):
    async with ragmesh.Client(target) as client:
        document = await client.add(NOTE, name="ferry.md", collection=collection, wait=True)
        kept = b"".join([piece async for piece in client.download(document.id)])
        found = await client.search("When does the ferry leave?", collection=collection)
        answer = await client.ask("When does the ferry leave?", collection=collection, max_tokens=32)

    assert kept == NOTE
    assert found.results[0].chunk.document_name == "ferry.md"
    assert answer.text
    assert [source.chunk.document_id for source in answer.sources] == [document.id]


async def test_a_conversation_leans_on_what_was_said_and_goes_on_after_an_answer_is_left(
    mesh: Mesh, collection: str, target: str
):
    async with ragmesh.Client(target) as client:
        await client.add(NOTE, name="ferry.md", collection=collection, wait=True)
        async with client.chat(collection=collection, max_tokens=24) as chat:
            first = [event async for event in chat.ask("When does the ferry leave?")]
            async with aclosing(chat.ask("Tell me more about the ferry.")) as events:
                await anext(events)
            second = [event async for event in chat.ask("And what do dogs pay there?")]

    assert first[-1].done
    assert second[-1].done
    assert len(chat.history) == 4, "what was left early was not said"


async def test_the_client_without_async_does_the_same(mesh: Mesh, collection: str, target: str):
    def work() -> tuple[str, list[str]]:
        with ragmesh.SyncClient(target) as client:
            client.add(NOTE, name="ferry.md", collection=collection, wait=True)
            for event in client.answer("When does the ferry leave?", collection=collection):
                if event.token:
                    break
            return client.mesh().instances[0].version, [each.name for each in client.list(collection)]

    assert (await asyncio.to_thread(work))[1] == ["ferry.md"]


@pytest.mark.parametrize("example", re.findall(r"```python\n(.+?)```", GUIDE.read_text(), re.DOTALL))
async def test_the_examples_of_the_guide_run(mesh: Mesh, target: str, tmp_path: Path, example: str):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", example),
        cwd=tmp_path,
        env={**os.environ, "RAGMESH_DISCOVERY_URL": target, "HOME": str(tmp_path)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()

    assert process.returncode == 0, said.decode()
    assert b"READY" in said
