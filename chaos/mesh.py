"""A mesh for chaos: `ragmesh up` in a process of its own, with a proxy on every connection inside."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import cast

import aiohttp
import psutil

from chaos.proxy import Proxy
from chaos.up import DETOUR
from ragmesh.settings import Settings, load
from ragmesh.up import state
from ragmesh.up.plan import free_ports
from ragmesh.up.servers import LOOPBACK
from ragmesh.up.state import ProcessId

READY_WITHIN_S = 180.0
STOPPED_WITHIN_S = 60.0
POLL_S = 0.2
SERVERS = ("triton", "milvus", "kafka", "postgres", "redis", "consul")


class Mesh:
    """A mesh that runs. Its processes are known by the names that `ragmesh up` gives them."""

    def __init__(
        self, data_dir: Path, module: str, arguments: tuple[str, ...], environment: dict[str, str]
    ) -> None:
        data_dir.mkdir(parents=True, exist_ok=True)
        self.data_dir = data_dir
        self.proxies: dict[str, Proxy] = {}
        self._port = free_ports(1)[0]
        self._module = module
        self._arguments = arguments
        self._environment = environment
        self._proxied = AsyncExitStack()

    @property
    def url(self) -> str:
        """Where the edge answers."""
        return f"http://{LOOPBACK}:{self._port}"

    @property
    def settings(self) -> Settings:
        """As a client of the services needs them."""
        return state.of_running_mesh(load().model_copy(update={"data_dir": self.data_dir}))

    def processes(self) -> dict[str, ProcessId]:
        """What runs, or ran last, by name."""
        written = json.loads((self.data_dir / "run" / "mesh.json").read_text())
        return {name: ProcessId(**process) for name, process in written["processes"].items()}

    def process(self, name: str) -> psutil.Process:
        """One of them. Raises psutil.NoSuchProcess between its end and its restart."""
        return psutil.Process(self.processes()[name].pid)

    async def start(self) -> None:
        """Starts it, and returns once its edge can serve. Fails with what it printed when it can't."""
        self._up = await asyncio.create_subprocess_exec(
            *(
                sys.executable,
                "-m",
                self._module,
                "up",
                "--data-dir",
                str(self.data_dir),
                "--port",
                str(self._port),
            ),
            *self._arguments,
            env={**os.environ, "RAGMESH_DATA_DIR": str(self.data_dir), **self._environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        ready = asyncio.Event()
        self._reading = asyncio.create_task(self._read(cast("asyncio.StreamReader", self._up.stdout), ready))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait({self._reading, waiting}, timeout=READY_WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
        if not ready.is_set():
            waiting.cancel()
            raise RuntimeError(f"the mesh did not start:\n{self._printed()}") from self._trouble()

    async def cut_power(self) -> None:
        """Kills everything at once: `ragmesh up` first, which would start again what dies."""
        self._up.kill()
        for process in self.processes().values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        await self._up.wait()
        await self._reading

    async def stop(self) -> None:
        """Ends it as Ctrl-C would."""
        if self._up.returncode is None:
            self._up.terminate()
        try:
            await asyncio.wait_for(self._up.wait(), STOPPED_WITHIN_S)
        finally:
            if self._up.returncode is None:
                self._up.kill()
            await self._reading
            await self._proxied.aclose()

    async def is_whole(self, http: aiohttp.ClientSession) -> bool:
        """Whether every process runs, and every instance of a service says that it serves."""
        processes = self.processes()
        if not all(process.is_alive() for process in processes.values()):
            return False
        try:
            async with http.get(f"{self.url}/v1/admin/mesh", timeout=aiohttp.ClientTimeout(total=5)) as response:
                told = await response.json() if response.ok else {"instances": []}
        except (aiohttp.ClientError, TimeoutError):
            return False
        serving = [instance for instance in told["instances"] if instance["health"] == "SERVING"]
        return len(serving) >= len(processes.keys() - set(SERVERS))

    async def restarted(self, name: str, before: ProcessId) -> None:
        """Returns once another process runs under this name."""
        while self.processes().get(name, before) == before:  # noqa: ASYNC110 it is another process's event
            await asyncio.sleep(POLL_S)

    def _trouble(self) -> BaseException | None:
        return self._reading.exception() if self._reading.done() else None

    def _printed(self) -> str:
        return (self.data_dir / "up.log").read_text()

    async def _read(self, output: asyncio.StreamReader, ready: asyncio.Event) -> None:
        with (self.data_dir / "up.log").open("ab") as log:
            async for raw in output:
                log.write(raw)
                log.flush()
                match raw.decode().split():
                    case ["detour", name, port] if name not in self.proxies:
                        await self._open(name, int(port))
                    case ["ready", _]:
                        ready.set()
                    case _:
                        pass

    async def _open(self, name: str, port: int) -> None:
        proxy = Proxy((DETOUR, port), (LOOPBACK, port))
        self.proxies[name] = await self._proxied.enter_async_context(proxy)


@asynccontextmanager
async def running(
    data_dir: Path, *arguments: str, module: str = "chaos.up", **environment: str
) -> AsyncIterator[Mesh]:
    """Starts a mesh with these arguments of `ragmesh up`, and stops it at the end.

    With the module `ragmesh.cli` there are no proxies, and so no trouble with the network.
    """
    mesh = await asyncio.to_thread(Mesh, data_dir, module, arguments, environment)
    try:
        await mesh.start()
        yield mesh
    finally:
        await mesh.stop()
