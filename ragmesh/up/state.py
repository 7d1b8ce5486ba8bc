"""What is written of a running mesh, for its clients and for the next start.

`run/mesh.json` in the data folder has its address, its settings and its processes; `run/lock` is held by whoever
runs it.
"""

import fcntl
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from ragmesh.settings import Settings
from ragmesh.up.plan import Plan

SHARED = ("host", "port", "triton_url", "triton_metrics_url", "milvus_uri", "discovery_url", "embedder")


class AlreadyRunning(RuntimeError):
    """Another `ragmesh up` runs on this data folder."""


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A process that is meant, and not another one that got its number later."""

    pid: int
    started: float  # seconds since the epoch

    def is_alive(self) -> bool:
        try:
            return abs(psutil.Process(self.pid).create_time() - self.started) < 1
        except psutil.NoSuchProcess:
            return False


@contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Holds the data folder. Raises AlreadyRunning, naming the process that does."""
    run = data_dir / "run"
    run.mkdir(parents=True, exist_ok=True)
    with (run / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise AlreadyRunning(
                f"a mesh runs on {data_dir} already, as process {file.read().strip() or '?'}:"
                " use it, stop it with Ctrl-C, or choose another --data-dir"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def write(plan: Plan, processes: dict[str, ProcessId]) -> None:
    """Writes what runs. Readers see the old state or the new one, never half of it."""
    file = _file(plan.settings.home)
    state = {
        "pid": os.getpid(),
        "url": plan.url,
        **{name: getattr(plan.settings, name) for name in SHARED},
        "processes": {name: {"pid": p.pid, "started": p.started} for name, p in processes.items()},
    }
    scratch = file.with_suffix(".tmp")
    scratch.write_text(json.dumps(state, indent=2), encoding="utf-8")
    scratch.replace(file)


def read(data_dir: Path) -> dict[str, Any] | None:
    """The state of the mesh that runs on a data folder; None where none does."""
    try:
        state = json.loads(_file(data_dir).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return state if psutil.pid_exists(state["pid"]) else None


def of_running_mesh(settings: Settings) -> Settings:
    """The settings with the addresses of the mesh that runs on their data folder, where one does."""
    state = read(settings.home)
    return settings.model_copy(update={name: state[name] for name in SHARED}) if state else settings


def remove_leftovers(data_dir: Path) -> int:
    """Ends what a killed `ragmesh up` left: returns how many processes that were."""
    try:
        state = json.loads(_file(data_dir).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return 0
    groups = {entry["pid"] for entry in state["processes"].values()}
    left = [p for p in psutil.process_iter() if _group(p.pid) in groups and _environment(p).get("RAGMESH_DATA_DIR")]
    mine = [p for p in left if _environment(p)["RAGMESH_DATA_DIR"] == str(data_dir)]
    for process in mine:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
    psutil.wait_procs(mine, timeout=5)
    remove(data_dir)
    return len(mine)


def remove(data_dir: Path) -> None:
    """Says that nothing runs any more."""
    _file(data_dir).unlink(missing_ok=True)


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return {}


def _file(data_dir: Path) -> Path:
    return data_dir / "run" / "mesh.json"
