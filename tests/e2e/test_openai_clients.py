"""Clients of OpenAI's API, as they are published, work with the edge: each is a program of tests/clients."""

import asyncio

import pytest

from tests.client_programs import NODE, PYTHON, PYTHON_LLAMAINDEX, run
from tests.e2e.test_cancellation import counters

FERRY = "# Ferry\n\nThe ferry leaves at half past six in the morning. On Sundays it leaves at eight.\n"

CANCELLED = "ragmesh_llm_cancelled_total"


@pytest.fixture
async def ferries(mesh, collection):
    status, document = await mesh.add("ferry.md", FERRY.encode(), collection)
    assert status == 201, document
    return collection


@pytest.mark.parametrize(
    ("interpreter", "program"), [(PYTHON, "langchain_client.py"), (PYTHON_LLAMAINDEX, "llamaindex_client.py")]
)
async def test_a_client_of_a_framework_works_as_it_is_published(mesh, ferries, interpreter, program):
    output = await run(interpreter, program, mesh.url, ferries)

    assert "ok errors" in output


@pytest.mark.parametrize(("interpreter", "program"), [(PYTHON, "openai_python.py"), (NODE, "openai_node.mjs")])
async def test_an_official_sdk_works_as_it_is_published_and_stops_the_model_by_leaving(
    mesh, ferries, interpreter, program
):
    before = await counters(mesh)

    output = await run(interpreter, program, mesh.url, ferries)

    assert "ok errors" in output
    async with asyncio.timeout(10):
        while (await counters(mesh))[CANCELLED] <= before[CANCELLED]:  # noqa: ASYNC110 it is Triton's event
            await asyncio.sleep(0.1)
