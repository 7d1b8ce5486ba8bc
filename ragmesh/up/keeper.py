"""Keeps one process alive."""

import asyncio
import ctypes
import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ragmesh.up.logfile import LogFile
from ragmesh.up.plan import Program
from ragmesh.up.state import ProcessId

LISTEN_POLL_S = 0.2
LOG_LOOK_EVERY_S = 5.0
STOP_WITHIN_S = 15.0
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
    """Runs a program, its output in a log file, and starts it again when it ends."""

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
        self._log = LogFile(logs / f"{program.name}.log")

    @property
    def last_words(self) -> str:
        """The last line that the process printed."""
        return self._log.last_line()

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
        with self._log.open() as output:
            child = await asyncio.create_subprocess_exec(
                *self._program.command,
                env={**os.environ, **self._program.environment, "PYTHONUNBUFFERED": "1"},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        self.process = ProcessId.of(child.pid)
        self._enter(Phase.STARTING)
        watching = [asyncio.create_task(self._notice_when_it_listens()), asyncio.create_task(self._bound_the_log())]
        try:
            self.last_exit = await child.wait()
        except asyncio.CancelledError:
            await _stop(child, self._program.stop_signal)
            self._enter(Phase.STOPPED)
            raise
        finally:
            _kill_group(child.pid)
            for task in watching:
                task.cancel()

    async def _notice_when_it_listens(self) -> None:
        """Every process listens only once it can work: a port that answers tells readiness for all alike."""
        while not await _answers(self._program.address):  # noqa: ASYNC110 it is another process's event
            await asyncio.sleep(LISTEN_POLL_S)
        self._enter(Phase.RUNNING)

    async def _bound_the_log(self) -> None:
        while True:
            await asyncio.sleep(LOG_LOOK_EVERY_S)
            await asyncio.to_thread(self._log.rotate_when_large)

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


async def _stop(child: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        child.send_signal(number)
    with suppress(TimeoutError):
        await asyncio.wait_for(child.wait(), STOP_WITHIN_S)


def _kill_group(pid: int) -> None:
    """Whatever the process has left behind: the models of a killed Triton ignore anything gentler."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
