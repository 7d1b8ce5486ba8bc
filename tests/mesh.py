"""A whole mesh for tests: the real `ragmesh up`, on free ports, with its data in a temporary folder."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.triton_server import CACHE

READY_WITHIN_S = 150.0
STOPPED_WITHIN_S = 60.0


@dataclass
class Mesh:
    """A mesh that runs, and an HTTP client of its edge."""

    url: str
    data_dir: Path
    process: asyncio.subprocess.Process
    http: aiohttp.ClientSession

    def state(self) -> dict[str, Any]:
        """What `ragmesh up` writes of its processes."""
        return json.loads((self.data_dir / "run" / "mesh.json").read_text())

    async def call(self, method: str, path: str, **kwargs: Any) -> tuple[int, Any]:
        """Status and body of a request: JSON where it is, else bytes."""
        async with self.http.request(method, self.url + path, **kwargs) as response:
            json_like = response.content_type.endswith("json")
            return response.status, await (response.json(content_type=None) if json_like else response.read())

    async def add(self, name: str, data: bytes, collection: str = "default", **query: str) -> tuple[int, Any]:
        """Uploads a document and waits until it is READY or FAILED."""
        return await self.call(
            "POST",
            f"/v1/collections/{collection}/documents",
            params={"name": name, "wait": "true", **query},
            data=data,
            headers={"Content-Type": "application/octet-stream"},
        )

    async def search(self, query: str, collection: str = "default", **options: Any) -> list[dict[str, Any]]:
        status, body = await self.call(
            "POST", f"/v1/collections/{collection}/search", json={"query": query, **options}
        )
        assert status == 200, body
        return body["results"]

    async def stream(self, path: str, body: dict[str, Any]) -> AsyncIterator[tuple[str, Any]]:
        """The events of an SSE answer, as (name, data)."""
        async with self.http.post(self.url + path, json=body) as response:
            assert response.status == 200, await response.text()
            name = ""
            async for raw in response.content:
                line = raw.decode().rstrip("\n")
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    yield name, json.loads(line.removeprefix("data: "))


@asynccontextmanager
async def running_mesh(data_dir: Path, *arguments: str, **environment: str) -> AsyncIterator[Mesh]:
    """Starts a mesh, yields it once it says that it is ready, and stops it as Ctrl-C would."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ragmesh.cli", "up", "--data-dir", str(data_dir), "--port", "0", *arguments),
        env={**os.environ, "RAGMESH_MODELS_DIR": str(CACHE / "repository"), **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        url = await asyncio.wait_for(_ready_line(process), READY_WITHIN_S)
        drained = asyncio.create_task(_drain(process))
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=120)) as http:
            yield Mesh(url, data_dir, process, http)
        if process.returncode is None:  # a test may have killed it
            process.send_signal(signal.SIGINT)
        await asyncio.wait_for(process.wait(), STOPPED_WITHIN_S)
        await drained
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _ready_line(process: asyncio.subprocess.Process) -> str:
    """The address in the line `ready http://…`. Fails with all that was printed when there is none."""
    assert process.stdout
    printed = []
    async for raw in process.stdout:
        printed.append(line := raw.decode().strip())
        if line.startswith("ready "):
            return line.removeprefix("ready ")
    raise AssertionError("the mesh did not become ready:\n" + "\n".join(printed))


async def _drain(process: asyncio.subprocess.Process) -> None:
    assert process.stdout
    async for _ in process.stdout:
        pass
