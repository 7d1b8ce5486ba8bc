"""Every process is killed in turn while documents are added and questions asked: nothing accepted is lost."""

import asyncio
import os
import signal
import time

import aiohttp
import psutil
import pytest

from tests.mesh import Mesh, running_mesh

RECOVERY_S = 60.0
PROCESSES = ["triton", "milvus", "document", "worker", "query", "admin", "gateway"]


@pytest.fixture(scope="module")
async def mesh(tmp_path_factory):
    async with running_mesh(tmp_path_factory.mktemp("chaos"), RAGMESH_LEASE_S="5") as running:
        yield running


def pid_of(mesh: Mesh, name: str) -> int:
    return mesh.state()["processes"][name]["pid"]


async def patiently(mesh: Mesh, *request, **kwargs):
    """A client that retries what may be retried, and fails on any other error. Returns the body and the faults."""
    faults, deadline = [], time.monotonic() + RECOVERY_S
    while True:
        try:
            status, body = await mesh.call(*request, **kwargs)
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as error:
            status, body = 0, repr(error)  # the edge itself is away
        if status in {200, 201, 202}:
            return body, faults
        faults.append((status, body))
        assert status in {0, 503}, f"neither success nor UNAVAILABLE: {status} {body}"
        assert time.monotonic() < deadline, f"not back within {RECOVERY_S} s: {faults[-1]}"
        await asyncio.sleep(0.2)  # the client's own back-off


@pytest.mark.parametrize("name", PROCESSES)
@pytest.mark.timeout(240)
async def test_a_killed_process_costs_retries_and_nothing_else(mesh, name):
    killed = asyncio.Event()
    collection = f"kill-{name}"
    await patiently(mesh, "POST", "/v1/collections", json={"name": collection})

    async def add(number: int) -> str:
        if number == 8:
            before = pid_of(mesh, name)
            os.kill(before, signal.SIGKILL)
            killed.set()
        body, _ = await patiently(
            mesh,
            "POST",
            f"/v1/collections/{collection}/documents",
            params={"name": f"{number}.txt"},
            data=f"Locker {number} of {name} holds the {number}th silver key.".encode(),
            headers={"Content-Type": "application/octet-stream"},
        )
        return body["id"]

    async def ask() -> list:
        await killed.wait()
        body, faults = await patiently(
            mesh, "POST", f"/v1/collections/{collection}/search", json={"query": f"Locker 3 of {name}", "top_k": 3}
        )
        assert all(name in result["text"] for result in body["results"]), "a wrong answer"
        return faults

    asking = asyncio.create_task(ask())
    accepted = [await add(number) for number in range(20)]
    await asking

    deadline = time.monotonic() + RECOVERY_S
    states = {}
    while set(states.values()) != {"READY"}:
        assert time.monotonic() < deadline, f"accepted, and not READY: {states}"
        for document_id in accepted:
            body, _ = await patiently(mesh, "GET", f"/v1/documents/{document_id}")
            states[document_id] = body["state"]
            assert body["state"] != "FAILED", body
        await asyncio.sleep(0.2)  # a poll of many documents
    body, _ = await patiently(
        mesh, "POST", f"/v1/collections/{collection}/search", json={"query": "silver key", "top_k": 100}
    )
    assert {result["document_id"] for result in body["results"]} == set(accepted)
    assert len(body["results"]) == 20, "no chunk twice"
    assert psutil.pid_exists(pid_of(mesh, name))
