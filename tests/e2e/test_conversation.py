"""Conversations on the real mesh: follow-ups find what they are about, on HTTP and on one stream of gRPC."""

from pathlib import Path

import pytest

from ragmesh.client import Client
from ragmesh.settings import Settings
from ragmesh.up.state import of_running_mesh
from tests.e2e.follow_ups import FOLLOW_UPS, FollowUp

SAMPLES = Path(__file__).parents[2] / "samples"


@pytest.fixture
async def samples(mesh, collection):
    for file in sorted(SAMPLES.iterdir()):
        status, document = await mesh.add(file.name, file.read_bytes(), collection)
        assert status == 201, document
    return collection


async def test_follow_ups_find_the_passage_that_they_are_about(mesh, samples):
    found = [await first_source(mesh, samples, each) for each in FOLLOW_UPS]

    right = [each.finds in text for each, text in zip(FOLLOW_UPS, found, strict=True)]
    missed = [each.question for each, is_right in zip(FOLLOW_UPS, right, strict=True) if not is_right]
    assert sum(right) >= 0.9 * len(FOLLOW_UPS), missed


async def first_source(mesh, collection: str, each: FollowUp) -> str:
    """The text of the passage that an answer rests on first."""
    messages = [
        {"role": "user", "content": each.asked},
        {"role": "assistant", "content": each.answered},
        {"role": "user", "content": each.question},
    ]
    body = {"messages": messages, "stream": True, "max_tokens": 1}
    async for name, data in mesh.stream(f"/v1/collections/{collection}/chat", body):
        if name == "sources":
            assert data["query"].endswith(each.question)
            return " ".join(data["citations"][0]["text"].split())
    raise AssertionError("the answer had no sources")


async def test_on_one_stream_of_grpc_each_turn_knows_the_ones_before(mesh, samples):
    settings = of_running_mesh(Settings(data_dir=mesh.data_dir))
    async with Client(settings) as client, client.chat(collection=samples, max_tokens=24, timeout=60) as chat:
        first = [event async for event in chat.ask("How much may a hotel cost a night?")]
        second = [event async for event in chat.ask("And in London?")]

    assert first[-1].done
    assert second[0].sources
    assert second[0].sources.query == "How much may a hotel cost a night? And in London?"
