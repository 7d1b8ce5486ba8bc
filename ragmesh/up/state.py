"""What is written of a running mesh, for its clients and for the next start.

`run/mesh.json` in the data folder has its address, its settings and its processes; `run/lock` is held by whoever
runs it.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TextIO

import psutil

from ragmesh.settings import Settings
from ragmesh.up import secret

if TYPE_CHECKING:
    from ragmesh.up.plan import Plan  # needs what the servers need, which clients go without

SHARED = ("auth", "host", "port", "triton_url", "triton_metrics_url", "milvus_uri", "discovery_url", "embedder")


class AlreadyRunning(RuntimeError):
    """Another `ragmesh up` runs on this data folder."""


class UnusableFolder(RuntimeError):
    """Nothing can be kept in the data folder."""


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A process that is meant, and not another one that got its number later."""

    pid: int
    started: float  # seconds since the epoch

    @classmethod
    def of(cls, pid: int) -> Self:
        """The process that has this number now. Raises psutil.NoSuchProcess."""
        return cls(pid, psutil.Process(pid).create_time())

    def is_alive(self) -> bool:
        """Whether that very process still runs."""
        try:
            return abs(psutil.Process(self.pid).create_time() - self.started) < 1
        except psutil.NoSuchProcess:
            return False


@contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Holds the data folder. Raises AlreadyRunning, naming the process that does, and UnusableFolder."""
    with _lock_file(data_dir) as file:
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


def _lock_file(data_dir: Path) -> TextIO:
    run = data_dir / "run"
    try:
        run.mkdir(parents=True, exist_ok=True)
        return (run / "lock").open("a+")
    except OSError as error:
        raise UnusableFolder(
            f"{data_dir} can't hold a mesh's data ({error.strerror}):"
            " choose a folder that you may write to with --data-dir"
        ) from None


def write(plan: "Plan", processes: dict[str, ProcessId]) -> None:
    """Writes what runs. Readers see the old state or the new one, never half of it."""
    file = _file(plan.settings.home)
    state = {
        **asdict(ProcessId.of(os.getpid())),
        "url": plan.url,
        **{name: getattr(plan.settings, name) for name in SHARED},
        "processes": {name: asdict(process) for name, process in processes.items()},
    }
    scratch = file.with_suffix(".tmp")
    scratch.write_text(json.dumps(state, indent=2), encoding="utf-8")
    scratch.replace(file)


def read(data_dir: Path) -> dict[str, Any] | None:
    """The state of the mesh that runs on a data folder; None where none does."""
    state = _last(data_dir)
    return state if state and ProcessId(state["pid"], state["started"]).is_alive() else None


def of_running_mesh(settings: Settings) -> Settings:
    """The settings with the addresses of the mesh that runs on their data folder, where one does."""
    state = read(settings.home)
    if not state:
        return settings
    found = settings.model_copy(update={name: state[name] for name in SHARED})
    return found if found.auth == "open" else secret.known(found)


def remove_leftovers(data_dir: Path) -> int:
    """Ends what a killed `ragmesh up` left: returns how many processes that were."""
    state = _last(data_dir)
    if state is None:
        return 0
    groups = {entry["pid"] for entry in state["processes"].values()}
    left = [process for process in psutil.process_iter() if _group(process.pid) in groups]
    # A group's number may be somebody else's by now: only processes of this data folder are meant.
    mine = [process for process in left if _environment(process).get("RAGMESH_DATA_DIR") == str(data_dir)]
    for process in mine:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(mine, timeout=5)
    remove(data_dir)
    return len(mine)


def remove(data_dir: Path) -> None:
    """Says that nothing runs any more."""
    _file(data_dir).unlink(missing_ok=True)


def _last(data_dir: Path) -> dict[str, Any] | None:
    """What was written last, by a mesh that may be gone."""
    try:
        return json.loads(_file(data_dir).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
        return None


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
