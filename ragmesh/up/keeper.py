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

from ragmesh.up.plan import Program
from ragmesh.up.state import ProcessId

LOG_MAX_BYTES = 10 * 1024 * 1024
LINE_MAX_BYTES = 1024 * 1024
LISTEN_POLL_S = 0.2
STOP_WITHIN_S = 15.0
LAST_WORDS_WITHIN_S = 1.0  # for what a dead process has written and nobody has read
PR_SET_PDEATHSIG = 1


class Phase(StrEnum):
    """Where a process is in its life."""

    STARTING = "starting"  # it runs, and does not listen yet
    RUNNING = "running"
    WAITING = "waiting to restart"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before a restart: twice as long each time, until the process has been stable for a while."""

    first_s: float = 0.25
    max_s: float = 15.0
    stable_s: float = 20.0

    def failures(self, before: int, *, lived_s: float) -> int:
        """Failures in a row, now that a process has ended after so long."""
        return 1 if lived_s > self.stable_s else before + 1

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
        self.last_words = ""  # the last line that it printed
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
            failures = self._backoff.failures(failures, lived_s=time.monotonic() - began)
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
        self.process = ProcessId.of(child.pid)
        self._enter(Phase.STARTING)
        copying = asyncio.create_task(self._copy(cast("asyncio.StreamReader", child.stdout)))
        noticing = asyncio.create_task(self._notice_when_it_listens())
        try:
            self.last_exit = await child.wait()
        except asyncio.CancelledError:
            await _stop(child)
            self._enter(Phase.STOPPED)
            raise
        finally:
            noticing.cancel()
            _kill_group(child.pid)
            await asyncio.wait((copying,), timeout=LAST_WORDS_WITHIN_S)
            copying.cancel()

    async def _notice_when_it_listens(self) -> None:
        """Every process listens only once it can work: a port that answers tells readiness for all alike."""
        while not await _answers(self._program.address):  # noqa: ASYNC110 it is another process's event
            await asyncio.sleep(LISTEN_POLL_S)
        self._enter(Phase.RUNNING)

    async def _copy(self, output: asyncio.StreamReader) -> None:
        while not output.at_eof():
            with suppress(
                ValueError
            ):  # a line beyond the limit is dropped: waiting for its end would stop the process
                self._write(await output.readline())

    def _write(self, line: bytes) -> None:
        if text := line.decode("utf-8", "replace").rstrip():
            self.last_words = text
            self._log.info(text)

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self._changed(self)


async def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except OSError:
        return False
    writer.close()
    return True


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
