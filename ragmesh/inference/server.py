"""Runs the embedded Triton: `python -m ragmesh.inference.server`.

Checks what would fail silently, starts the server against the model repository, watches its models, and takes the
whole process group and its shared memory away at the end.
"""

import asyncio
import ctypes
import hashlib
import os
import shutil
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import structlog

from ragmesh.inference.preflight import CannotStart, Installation, check_repository, installation
from ragmesh.inference.roles import models
from ragmesh.inference.watchdog import watch
from ragmesh.rpc.config import Live
from ragmesh.rpc.server import STOP_SIGNALS, run
from ragmesh.settings import Settings

log = structlog.get_logger()

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 where POSIX shared memory lives
GRACE_S = 5.0
PR_SET_PDEATHSIG = 1


async def main(live: Live) -> None:
    """Serves until SIGTERM or SIGINT, or until the server dies or can't be healed (exit code 1)."""
    settings = live.now
    if os.getpid() != os.getpgrp():
        os.setpgrp()
    try:
        triton = installation()
        check_repository(settings.models)
    except CannotStart as error:
        sys.exit(str(error))
    if fault := await _serve(live, triton):
        sys.exit(fault)


async def _serve(live: Live, triton: Installation) -> str | None:
    """Returns None when it was asked to stop, else what went wrong."""
    settings = live.now
    backends = lay_out_backends(triton, settings.home / "run" / "triton-backends")
    region = region_prefix(settings)
    remove_regions(region)
    server = await asyncio.create_subprocess_exec(
        *command(settings, triton, backends, region),
        env=environment(triton),
        preexec_fn=_die_with_parent,
        stdin=asyncio.subprocess.DEVNULL,
    )
    stop = asyncio.Event()
    for number in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        return await _first_of(stop.wait(), server.wait(), watch(settings.triton_url, live))
    finally:
        await end_group(server)
        remove_regions(region)


async def _first_of(
    stop: Coroutine[Any, Any, object], end: Coroutine[Any, Any, int], watching: Coroutine[Any, Any, None]
) -> str | None:
    asked, ended, watched = tasks = [asyncio.create_task(part) for part in (stop, end, watching)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if asked.done():
            return None
        if ended.done():
            return f"tritonserver ended by itself with code {ended.result()}"
        return f"the models can't be healed, so the server must start anew: {watched.exception()!r}"
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def end_group(server: asyncio.subprocess.Process) -> None:
    """Ends the server and its stubs, which share this process's group. Stubs outlive their server, and SIGTERM."""
    if server.returncode is None:
        server.terminate()
        try:
            await asyncio.wait_for(server.wait(), GRACE_S)
        except TimeoutError:
            log.warning("triton.slow_to_stop")
            server.kill()
            await server.wait()
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if process.pid != os.getpid() and os.getpgid(process.pid) == os.getpgrp():
                process.kill()


def command(settings: Settings, triton: Installation, backends: Path, region: str) -> list[str]:
    """The server's command line."""
    host, _, grpc_port = settings.triton_url.rpartition(":")
    metrics = urlsplit(settings.triton_metrics_url)
    return [
        str(triton.root / "bin" / "tritonserver"),
        f"--model-repository={settings.models}",
        "--model-control-mode=explicit",
        *(f"--load-model={model}" for model in _present(settings)),
        f"--backend-directory={backends}",
        f"--backend-config=python,shm-region-prefix-name={region}",
        "--allow-http=false",
        f"--grpc-address={host}",
        f"--grpc-port={grpc_port}",
        f"--metrics-address={metrics.hostname}",
        f"--metrics-port={metrics.port}",
        "--allow-gpu-metrics=false",
        "--strict-readiness=false",
        f"--exit-timeout-secs={GRACE_S:.0f}",
    ]


def _present(settings: Settings) -> list[str]:
    """The models in use that are in the repository: with one that is not, the server would not start."""
    return [model for model in models(settings) if (settings.models / model / "config.pbtxt").exists()]


def environment(triton: Installation) -> dict[str, str]:
    """The server's environment: its stubs find this interpreter by PATH and its library by LD_LIBRARY_PATH."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONHOME"}
    libraries = [str(triton.libpython) if triton.libpython else "", inherited.get("LD_LIBRARY_PATH", "")]
    return {
        **inherited,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), inherited.get("PATH", "")]),
        "LD_LIBRARY_PATH": os.pathsep.join(filter(None, libraries)),
    }


def lay_out_backends(triton: Installation, folder: Path) -> Path:
    """A backend folder with the stub in it: the wheel keeps the stubs elsewhere."""
    shutil.rmtree(folder, ignore_errors=True)
    python = folder / "python"
    python.mkdir(parents=True)
    packaged = triton.root / "backends" / "python"
    for file in (triton.stub, packaged / "libtriton_python.so", packaged / "triton_python_backend_utils.py"):
        (python / file.name).symlink_to(file)
    return folder


def region_prefix(settings: Settings) -> str:
    """Names the shared memory of this data folder, so that what a killed server left can be told and removed."""
    return f"ragmesh_{hashlib.sha256(str(settings.home).encode()).hexdigest()[:12]}_"


def remove_regions(prefix: str) -> None:
    """Removes the shared memory of a server that is gone."""
    for region in SHARED_MEMORY.glob(f"{prefix}*"):
        region.unlink(missing_ok=True)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    run("triton", main)
