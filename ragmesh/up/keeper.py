"""Keeps one process alive."""

import asyncio
import ctypes
import logging
import logging.handlers
import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import cast

import psutil

from ragmesh.up.plan import Program
from ragmesh.up.state import ProcessId

LOG_MAX_BYTES = 10 * 1024 * 1024
LINE_MAX_BYTES = 1024 * 1024
STOP_WITHIN_S = 15.0
PR_SET_PDEATHSIG = 1


class Phase(StrEnum):
    """Where a process is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    WAITING = "waiting to restart"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before a restart: twice as long each time, until the process has been stable for a while."""

    first_s: float = 0.25
    max_s: float = 15.0
    stable_s: float = 20.0

    def delay_s(self, failures: int) -> float:
        """The wait after so many failures in a row, the first being 1; up to a half of it is random."""
        return min(self.max_s, self.first_s * 2 ** (failures - 1)) * random.uniform(0.5, 1)  # noqa: S311


class Keeper:
    """Runs a program, writes its output to a log file, and starts it again when it ends."""

    def __init__(
        self, program: Program, logs: Path, changed: Callable[["Keeper"], None], backoff: Backoff | None = None
    ) -> None:
        self.name = program.name
        self.phase = Phase.STARTING
        self.restarts = 0
        self.last_exit: int | None = None
        self.process: ProcessId | None = None
        self._program = program
        self._changed = changed
        self._backoff = backoff or Backoff()
        self._log = _log_file(logs / f"{program.name}.log")

    async def keep(self) -> None:
        """Runs until it is cancelled, and ends the process and its group then."""
        failures = 0
        while True:
            began = time.monotonic()
            await self._run()
            failures = 1 if time.monotonic() - began > self._backoff.stable_s else failures + 1
            self.restarts += 1
            self._enter(Phase.WAITING)
            await asyncio.sleep(self._backoff.delay_s(failures))

    async def _run(self) -> None:
        child = await asyncio.create_subprocess_exec(
            *self._program.command,
            env={**os.environ, **self._program.environment, "PYTHONUNBUFFERED": "1"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=LINE_MAX_BYTES,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
        self.process = ProcessId(child.pid, psutil.Process(child.pid).create_time())
        self._enter(Phase.RUNNING)
        logging_output = asyncio.create_task(self._copy(cast("asyncio.StreamReader", child.stdout)))
        try:
            self.last_exit = await child.wait()
        except asyncio.CancelledError:
            await _stop(child)
            self._enter(Phase.STOPPED)
            raise
        finally:
            _kill_group(child.pid)
            logging_output.cancel()
            await asyncio.gather(logging_output, return_exceptions=True)

    async def _copy(self, output: asyncio.StreamReader) -> None:
        while line := await output.readline():
            self._log.info(line.decode("utf-8", "replace").rstrip())

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self._changed(self)


async def _stop(child: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        child.terminate()
    with suppress(TimeoutError):
        await asyncio.wait_for(child.wait(), STOP_WITHIN_S)


def _kill_group(pid: int) -> None:
    """Whatever the process has left behind: the models of a killed Triton ignore anything gentler."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _log_file(path: Path) -> logging.Logger:
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=LOG_MAX_BYTES, backupCount=1, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(message)s"))
    log = logging.getLogger(f"ragmesh.up.output.{path}")
    log.propagate = False
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    return log
