"""Answers on the real mesh rest on the documents, say so where these don't answer, and tell where the time went."""

from pathlib import Path

import pytest

from ragmesh.inference import manifest
from ragmesh.inference.port import ModelId

PROMPT_TOKENS = manifest.ours()[ModelId("smollm2-135m", "1")].prompt_tokens
SAMPLES = Path(__file__).parents[2] / "samples"
ANSWERED = (
    "How much may a hotel cost a night?",
    "Within how many days are receipts handed in?",
    "Which flights may be booked in premium economy?",
)


@pytest.fixture
async def policy(mesh, collection):
    status, document = await mesh.add("travel-policy.md", (SAMPLES / "travel-policy.md").read_bytes(), collection)
    assert status == 201, document
    return collection


async def answer(mesh, collection: str, question: str):
    path = f"/v1/collections/{collection}/answer"
    status, answered = await mesh.call("POST", path, json={"question": question, "max_tokens": 48})
    assert status == 200, answered
    return answered


@pytest.mark.parametrize("question", ANSWERED)
async def test_an_answer_cites_the_documents_from_a_prompt_that_fits(mesh, policy, question):
    answered = await answer(mesh, policy, question)

    assert answered["finish_reason"] in {"stop", "length"}
    assert answered["finish_reason"] == "length" or answered["citations"]
    assert 0.5 * PROMPT_TOKENS < answered["usage"]["prompt_tokens"] <= PROMPT_TOKENS
    stages = answered["timings"]
    assert stages["total_ms"] >= stages["generate_ms"] >= stages["first_token_ms"] > 0


async def test_a_question_that_the_documents_do_not_answer_is_told_so_at_once_with_what_comes_closest(mesh, policy):
    events = [
        event
        async for event in mesh.stream(
            f"/v1/collections/{policy}/answer", {"question": "How many wolves live in Norway?", "stream": True}
        )
    ]

    told = dict(events)
    assert told["token"]["text"] == "Nothing in these documents answers this question."
    assert told["sources"]["citations"]
    assert (told["done"]["finish_reason"], told["done"]["citations"]) == ("not_found", [])
    assert told["usage"]["prompt_tokens"] == 0


async def test_a_search_tells_its_stages_to_the_browser(mesh, policy):
    url = f"{mesh.url}/v1/collections/{policy}/search"
    async with mesh.http.post(url, json={"query": "hotel"}) as response:
        stages = dict(stage.split(";dur=") for stage in response.headers["Server-Timing"].split(", "))

    assert int(stages["total"]) >= int(stages.get("search", 0))
