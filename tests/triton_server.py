"""A real Triton with both models in a process of its own, that a test may kill and start again.

The models are built once and kept: in RAGMESH_TEST_CACHE, or in the user's cache folder.
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal, Self

import aiohttp
import psutil
import pytest
import pytest_asyncio

from ragmesh.inference.build import build
from ragmesh.inference.server import SHARED_MEMORY, region_prefix
from ragmesh.settings import Settings
from tests.milvus_server import free_port

CACHE = Path(os.environ.get("RAGMESH_TEST_CACHE", "~/.cache/ragmesh-tests")).expanduser()
READY_WITHIN_S = 60.0


class TritonServer:
    """`async with TritonServer(folder) as server`: what `python -m ragmesh.inference.server` runs."""

    def __init__(self, folder: Path, embedder: Literal["multilingual", "english"] = "multilingual") -> None:
        self.url = f"127.0.0.1:{free_port()}"
        self.metrics_url = f"http://127.0.0.1:{free_port()}/metrics"
        self.settings = Settings(data_dir=folder, models_dir=CACHE / "repository", embedder=embedder)

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(build, self.settings, lambda _step, _share: None)
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end(signal.SIGTERM)

    async def start(self) -> None:
        self._process: Process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ragmesh.inference.server"),
            env={
                **os.environ,
                "RAGMESH_DATA_DIR": str(self.settings.home),
                "RAGMESH_MODELS_DIR": str(self.settings.models),
                "RAGMESH_EMBEDDER": self.settings.embedder,
                "RAGMESH_TRITON_URL": self.url,
                "RAGMESH_TRITON_METRICS_URL": self.metrics_url,
            },
            stdout=PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        ready = asyncio.Event()
        self._reading = asyncio.create_task(self._read(ready))
        await asyncio.wait_for(ready.wait(), READY_WITHIN_S)

    async def _read(self, ready: asyncio.Event) -> None:
        assert self._process.stdout
        async for line in self._process.stdout:
            if b"triton.ready" in line:
                ready.set()

    async def start_if_ended(self) -> None:
        """What `ragmesh up` would do: a model that is killed while it writes may take the whole server with it."""
        if self._process.returncode is not None:
            await self._reading
            await self.start()

    async def end(self, how: signal.Signals) -> list[psutil.Process]:
        """Ends the server, and returns its processes that are still there two seconds later."""
        children = psutil.Process(self._process.pid).children(recursive=True)
        self._process.send_signal(how)
        await self._process.wait()
        _, alive = await asyncio.to_thread(psutil.wait_procs, children, 2.0)
        await self._reading
        return alive

    def stub(self, model: str) -> psutil.Process:
        """The Python process of a model."""
        children = psutil.Process(self._process.pid).children(recursive=True)
        alive = [child for child in children if child.status() != psutil.STATUS_ZOMBIE]
        return next(child for child in alive if f"/{model}/1/model.py" in " ".join(child.cmdline()))

    def shared_memory(self) -> set[str]:
        return {path.name for path in SHARED_MEMORY.glob(f"{region_prefix(self.settings)}*")}

    async def counters(self) -> dict[str, float]:
        """The language model's counters on Triton's own page."""
        async with aiohttp.request("GET", self.metrics_url) as response:
            page = await response.text()
        pairs = (line.rsplit(" ", 1) for line in page.splitlines() if line.startswith("ragmesh_llm_"))
        return {name.removeprefix("ragmesh_llm_"): float(value) for name, value in pairs}


@pytest_asyncio.fixture(scope="session")
async def triton(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[TritonServer]:
    """One server for all tests."""
    async with TritonServer(tmp_path_factory.mktemp("triton")) as server:
        yield server
