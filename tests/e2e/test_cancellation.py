"""A reader that leaves stops the generation in Triton: told by Triton's own counters."""

import asyncio
import time

import aiohttp

from tests.e2e.test_main_job import NOTE

STOPPED_WITHIN_S = 0.3  # of the next token, which takes about 20 ms


async def counters(mesh) -> dict[str, float]:
    """The language model's own counters, from Triton's metrics page."""
    url = mesh.state()["triton_metrics_url"]
    async with mesh.http.get(url) as response:
        lines = (await response.text()).splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if line.startswith("ragmesh_llm_"))
    return {name.split("{")[0]: float(value) for name, value in pairs}


async def test_closing_the_stream_stops_the_generation_in_triton(mesh, collection):
    await mesh.add("harbour.md", NOTE, collection)
    before = await counters(mesh)

    request = {"question": "Tell everything about the harbour.", "stream": True, "max_tokens": 1000}
    async with aiohttp.ClientSession() as reader:
        response = await reader.post(f"{mesh.url}/v1/collections/{collection}/answer", json=request)
        async for line in response.content:
            if line.startswith(b"event: token"):
                break
        response.close()
        closed = time.monotonic()
    while (now := await counters(mesh))["ragmesh_llm_cancelled_total"] == before["ragmesh_llm_cancelled_total"]:
        assert time.monotonic() - closed < 5, now
        await asyncio.sleep(0.01)  # the counter is a page to be polled
    stopped_s = time.monotonic() - closed

    tokens = (await counters(mesh))["ragmesh_llm_tokens_total"]  # the page that told of the end was older in part
    await asyncio.sleep(0.5)  # long enough for twenty more tokens, if it still ran
    assert (await counters(mesh))["ragmesh_llm_tokens_total"] == tokens
    assert stopped_s < STOPPED_WITHIN_S
