"""Documents read by processes of their own, so that a hostile one harms neither the worker nor its neighbours.

    async with ParsePool.of(settings) as pool:
        document = await pool.chunks(path, "report.pdf")

A process that takes too long is killed, one that wants too much memory is refused it, one that crashes is replaced.
`ProcessPoolExecutor` would fail all of its documents when one of its processes dies.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ragmesh.settings import Settings
from svc_document.chunking import ChunkedDocument, Measure
from svc_document.parse.document import ParseError, Source
from svc_document.parse.job import Job, ReadAndCut
from svc_document.parse.process import ParserProcess, ProcessDied

ANSWERS_MAX = 500  # of one process; the next one has leaked nothing yet
CRASHES_MAX = 2  # the first may have been meant for another: an operator kills, a kernel runs out of memory


@dataclass(frozen=True, slots=True)
class Limits:
    """What one document may take."""

    timeout_s: float
    memory_bytes: int  # of the process that reads it


class ParsePool:
    """Reads some documents at a time. An async context manager: it owns processes, started when first needed."""

    def __init__(self, job: Job, limits: Limits, *, processes: int) -> None:
        self._seats = [_Seat(job, limits) for _ in range(processes)]
        self._free: asyncio.LifoQueue[_Seat] = asyncio.LifoQueue()  # whoever is warm goes first

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The pool that the settings want."""
        measure = Measure(settings.chunk_tokens, settings.chunk_overlap_tokens)
        job = ReadAndCut(settings.models / settings.embedding, measure, settings.text_max_chars)
        limits = Limits(settings.parse_timeout_s, settings.parse_memory_bytes)
        return cls(job, limits, processes=settings.parse_processes)

    async def __aenter__(self) -> Self:
        for seat in self._seats:
            self._free.put_nowait(seat)
        return self

    async def __aexit__(self, *exc: object) -> None:
        for seat in self._seats:
            await seat.close()

    async def chunks(self, path: Path, name: str) -> ChunkedDocument:
        """Reads and cuts a file that its owner calls `name`; waits while all processes are busy.

        Raises ParseError where the document is at fault, Unavailable where no process starts.
        """
        source = Source(path, name)
        seat = await self._free.get()
        try:
            for _ in range(CRASHES_MAX):
                try:
                    return await seat.read(source)
                except ProcessDied:
                    continue
            raise ParseError("crashed", f"{name} made its parser crash: save it anew, or in another format")
        finally:
            self._free.put_nowait(seat)


class _Seat:
    """A place for one process, empty before the first document and after a trouble."""

    def __init__(self, job: Job, limits: Limits) -> None:
        self._job = job
        self._limits = limits
        self._process: ParserProcess | None = None

    async def read(self, source: Source) -> ChunkedDocument:
        process = self._process or await ParserProcess.start(self._job, memory_bytes=self._limits.memory_bytes)
        self._process = process
        try:
            async with asyncio.timeout(self._limits.timeout_s):
                return await process.read(source)
        except TimeoutError as error:
            raise self._timed_out(source) from error
        finally:
            if not process.is_fit or process.answers >= ANSWERS_MAX:
                await self.close()

    async def close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await process.kill()

    def _timed_out(self, source: Source) -> ParseError:
        return ParseError(
            "timeout",
            f"{source.name} took longer than {self._limits.timeout_s:g} seconds to read: "
            "split it into smaller documents",
        )
