"""The real servers behind the mesh, started by the project's own scripts on free ports.

async with running("redis", tmp_path) as redis:
    connect(redis.url)
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import psutil
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from pymilvus import MilvusClient, MilvusException
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ragmesh.up.plan import free_ports

SCRIPTS = Path(__file__).parents[1] / "deploy" / "local"
URLS = {
    "consul": "consul://{address}",
    "kafka": "kafka://{address}",
    "postgres": "postgresql+asyncpg://ragmesh@{address}/ragmesh",
    "redis": "redis://{address}/0",
    "s3": "http://{address}",
    "milvus": "http://{address}",
    "chromium": "http://{address}",
}
READY_WITHIN_S = 60.0
POLL_S = 0.1
STOPPED_WITHIN_S = 15.0
FAST_SHUTDOWN = {
    "postgres": signal.SIGINT,  # its SIGTERM waits for the last client
    "milvus": signal.SIGKILL,  # its SIGTERM takes more than half a minute
}


@dataclass
class Server:
    """A server that runs, until a test does something to it."""

    name: str
    port: int
    data_dir: Path
    process: asyncio.subprocess.Process = field(init=False)

    @property
    def host(self) -> str:
        return "127.0.0.1"

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """As the settings of ragmesh want it."""
        return URLS[self.name].format(address=self.address)

    async def start(self) -> None:
        """Starts it, and returns once it answers."""
        log = self.data_dir.with_name(f"{self.data_dir.name}.log")
        with log.open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                *(str(SCRIPTS / "start.sh"), self.name, str(self.data_dir), str(self.port)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            async with asyncio.timeout(READY_WITHIN_S):
                while not await _answers(self):
                    assert self.process.returncode is None, f"{self.name} ended:\n{_tail(log)}"
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise AssertionError(f"{self.name} does not answer:\n{_tail(log)}") from None

    async def stop(self) -> None:
        """Ends it in its own good way."""
        if self.process.returncode is None:
            self.resume()
            self.process.send_signal(FAST_SHUTDOWN.get(self.name, signal.SIGTERM))
        try:
            await asyncio.wait_for(self.process.wait(), STOPPED_WITHIN_S)
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """Ends it as a power cut would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()

    async def restart(self) -> None:
        """Ends it and starts it again, on the same port and data."""
        await self.stop()
        await self.start()

    def pause(self) -> None:
        """Lets it hang, with its children: those of PostgreSQL are groups of their own."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets it go on."""
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: signal.Signals) -> None:
        process = psutil.Process(self.process.pid)
        for one in (process, *process.children(recursive=True)):
            one.send_signal(number)


@asynccontextmanager
async def running(name: str, data_dir: Path, port: int | None = None) -> AsyncIterator[Server]:
    """Starts a server with its data in this folder, and ends it with the block."""
    server = Server(name, port or free_ports(1)[0], data_dir)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def _answers(server: Server) -> bool:
    try:
        async with asyncio.timeout(5):
            await PROBES[server.name](server)
    except (OSError, aiohttp.ClientError, asyncpg.PostgresError, KafkaError, RedisError, MilvusException):
        return False
    return True


async def _ask_consul(server: Server) -> None:
    leader = await _get(f"http://{server.address}/v1/status/leader")
    if leader.strip() == '""':
        raise OSError("no leader yet")


async def _ask_kafka(server: Server) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=server.address)
    try:
        await admin.start()
        await admin.list_topics()
    finally:
        await admin.close()


async def _ask_postgres(server: Server) -> None:
    connection: Any = await asyncpg.connect(host=server.host, port=server.port, user="ragmesh", database="ragmesh")
    await connection.close()


async def _ask_redis(server: Server) -> None:
    async with Redis(host=server.host, port=server.port) as client:
        await client.ping()


async def _ask_milvus(server: Server) -> None:
    await asyncio.to_thread(_list_collections, server.url)


def _list_collections(url: str) -> None:
    client: Any = MilvusClient(url, timeout=2)
    try:
        client.list_collections(timeout=2)  # to connect proves nothing: pymilvus keeps connections of the dead
    finally:
        client.close()


async def _ask_chromium(server: Server) -> None:
    await _get(f"{server.url}/json/version")


async def _ask_s3(server: Server) -> None:
    await _get(server.url)


async def _get(url: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return await response.text()


PROBES: dict[str, Callable[[Server], Awaitable[None]]] = {
    "consul": _ask_consul,
    "kafka": _ask_kafka,
    "postgres": _ask_postgres,
    "redis": _ask_redis,
    "milvus": _ask_milvus,
    "s3": _ask_s3,
    "chromium": _ask_chromium,
}


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]
