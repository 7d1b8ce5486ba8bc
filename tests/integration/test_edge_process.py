"""The edge as the process it is: how it starts, and how it stops."""

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager

import aiohttp
import pytest

from tests.edge import events_of, scripted_services

SERVICES = ("document", "worker", "query", "admin", "gateway")
STOPPED_WITHIN_S = 20


@asynccontextmanager
async def a_gateway(address: str, **environment: str):
    """`python -m gateway` before services at an address, and the URL that it tells when it is ready."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ
        | {"RAGMESH_PORT": "0", "RAGMESH_LOG_FORMAT": "json"}
        | {"RAGMESH_DISCOVERY_URL": "static:" + ",".join(f"{name}={address}" for name in SERVICES)}
        | environment,
    )
    try:
        async for line in process.stdout:
            told = json.loads(line)
            if told["event"] == "gateway.ready":
                break
        yield process, told["url"]
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def refuses_connections(url: str) -> None:
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"{url}/healthz"):
                    await asyncio.sleep(0.01)  # it is still stopping
            except aiohttp.ClientConnectionError:
                return


async def test_a_stopping_edge_takes_nothing_new_and_finishes_what_runs():
    async with (
        scripted_services() as (address, (_, queries, _)),
        a_gateway(address) as (process, url),
        aiohttp.ClientSession() as session,
    ):
        queries.hold.clear()
        asked = {"question": "?", "stream": True}
        async with session.post(f"{url}/v1/collections/c/answer", json=asked) as response:
            process.terminate()
            await asyncio.wait_for(refuses_connections(url), 5)
            queries.hold.set()
            events = await events_of(response)

        assert [name for name, _ in events] == ["sources", "token", "token", "usage", "done"]
        assert await asyncio.wait_for(process.wait(), STOPPED_WITHIN_S) == 0


async def test_a_stopping_edge_does_not_wait_for_ever():
    async with (
        scripted_services() as (address, (_, queries, _)),
        a_gateway(address, RAGMESH_DRAIN_S="0.2") as (process, url),
        aiohttp.ClientSession() as session,
    ):
        queries.hold.clear()
        asked = {"question": "?", "stream": True}
        async with session.post(f"{url}/v1/collections/c/answer", json=asked) as response:
            process.terminate()
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()

        assert await asyncio.wait_for(process.wait(), STOPPED_WITHIN_S) == 0
        await asyncio.wait_for(queries.left.wait(), 5)
