"""A real Milvus Lite server in a process of its own, that a test may kill and start again."""

import asyncio
import os
import signal
import socket
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

import pytest
import pytest_asyncio

from ragmesh.storage.vectors import lite


class MilvusServer:
    """`async with MilvusServer(folder) as server`: its data stays in the folder over restarts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self.uri = f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    async def start(self) -> None:
        self._process: Process = await asyncio.create_subprocess_exec(
            *lite.command(self._folder, self._port),
            stdout=DEVNULL,
            stderr=STDOUT,
            env=os.environ | lite.ENVIRONMENT,
        )

    async def kill(self) -> None:
        """As a crash would."""
        self._process.send_signal(signal.SIGKILL)
        await self._process.wait()

    @property
    def pid(self) -> int:
        return self._process.pid


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest_asyncio.fixture(scope="session")
async def milvus_lite(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[MilvusServer]:
    """One server for all tests; each uses collection ids of its own."""
    async with MilvusServer(tmp_path_factory.mktemp("milvus")) as server:
        yield server
