"""Two real Tritons behind one client: work goes to both, and to the other where one is gone."""

import asyncio
import signal
from collections import Counter
from contextlib import AsyncExitStack

import pytest_asyncio

from ragmesh.inference.embed import TritonEmbedder
from ragmesh.inference.port import Role
from ragmesh.inference.triton import Triton
from tests.triton_server import TritonServer

E5 = "e5-small@1"


@pytest_asyncio.fixture(scope="module")
async def pair(tmp_path_factory):
    async with AsyncExitStack() as opened:
        servers = [TritonServer(tmp_path_factory.mktemp(name)) for name in ("one", "two")]
        yield [await opened.enter_async_context(server) for server in servers]


async def served(server: TritonServer) -> int:
    async with Triton(server.url) as triton:
        return next(model.successes for model in await triton.models() if model.name == E5)


async def test_texts_are_embedded_by_both_and_when_one_is_killed_by_the_other(pair):
    url = ",".join(server.url for server in pair)
    async with TritonEmbedder(url, E5) as embedder:
        before = [await served(server) for server in pair]
        await embedder.embed([f"question {number}" for number in range(64)], Role.QUERY)
        shares = [after - sooner for after, sooner in zip([await served(s) for s in pair], before, strict=True)]
        assert sum(shares) >= 64
        assert min(shares) > 10

        await pair[0].end(signal.SIGKILL)
        outcomes = Counter[str]()
        for number in range(20):
            try:
                await embedder.embed([f"further question {number}"], Role.QUERY)
                outcomes["embedded"] += 1
            except Exception as error:  # noqa: BLE001 each kind is told
                outcomes[f"{error}"] += 1
        assert outcomes == {"embedded": 20}

        await pair[0].start()
        async with asyncio.timeout(30):
            begun = await served(pair[0])
            while await served(pair[0]) < begun + 10:
                await embedder.embed([f"more {number}" for number in range(16)], Role.QUERY)


async def test_what_changes_models_goes_to_all(pair):
    async with Triton(",".join(server.url for server in pair)) as both:
        await both.load("smollm2-135m@1")

        assert both.addresses() == {server.url for server in pair}
        assert await both.is_ready("smollm2-135m@1")
