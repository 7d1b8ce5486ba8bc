"""The parent's end of a parser process."""

import asyncio
import os
import pickle
import sys
from asyncio.subprocess import PIPE, Process, create_subprocess_exec
from contextlib import suppress
from typing import Self

from ragmesh.errors import Unavailable
from svc_document.chunking import ChunkedDocument
from svc_document.parse.document import ParseError, Source
from svc_document.parse.frames import ANSWER_MAX_BYTES, LENGTH, dump_source, framed, load_answer
from svc_document.parse.job import Job

START_TIMEOUT_S = 60.0
ONE_THREAD = {"TOKENIZERS_PARALLELISM": "false", "MALLOC_ARENA_MAX": "1"}


class ProcessDied(Exception):
    """A parser process is gone without an answer."""


class ParserProcess:
    """A process that reads one document at a time."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._stdin, self._stdout = _pipes(process)
        self.answers = 0
        self.is_fit = True  # for another document; if not, it must be killed

    @classmethod
    async def start(cls, job: Job, *, memory_bytes: int) -> Self:
        """Starts one and waits until it is ready. Raises Unavailable."""
        command = (sys.executable, "-m", "svc_document.parse.child", str(os.getpid()), str(memory_bytes))
        process = cls(await create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, env=os.environ | ONE_THREAD))
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await process._ask(pickle.dumps(job))
        except (ProcessDied, TimeoutError) as error:
            raise Unavailable("a parser process did not start: the log of the worker says why") from error
        finally:
            if not process.is_fit:
                await process.kill()
        return process

    async def read(self, source: Source) -> ChunkedDocument:
        """The document's passages. Raises ParseError, ProcessDied."""
        answer = await self._ask(dump_source(source))
        try:
            return await asyncio.to_thread(load_answer, answer)
        except ParseError as error:
            self.is_fit = error.code != "memory"  # the next one begins with a tidy heap
            raise

    async def kill(self) -> None:
        """Ends it, whatever it is doing."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    async def _ask(self, question: bytes) -> bytes:
        self.is_fit = False  # until it has answered
        try:
            self._stdin.write(framed(question))
            await self._stdin.drain()
            (size,) = LENGTH.unpack(await self._stdout.readexactly(LENGTH.size))
            if size > ANSWER_MAX_BYTES:
                raise ProcessDied
            answer = await self._stdout.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise ProcessDied from error
        self.is_fit = True
        self.answers += 1
        return answer


def _pipes(process: Process) -> tuple[asyncio.StreamWriter, asyncio.StreamReader]:
    if process.stdin is None or process.stdout is None:
        raise ValueError("a parser process is started with pipes")
    return process.stdin, process.stdout
