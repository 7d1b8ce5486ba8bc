"""A parser process: answers one document after the other until its parent closes the pipe, or dies.

python -m svc_document.parse.child PARENT_PID MEMORY_BYTES
"""

import ctypes
import os
import pickle
import resource
import signal
import sys
import traceback
from typing import BinaryIO

from svc_document.parse.document import ParseError, Source
from svc_document.parse.frames import LENGTH, dump_document, dump_error, framed, load_source
from svc_document.parse.job import Job, Work

PR_SET_PDEATHSIG = 1


def main(parent: int, memory_bytes: int) -> None:
    """Serves until there is nothing more to do."""
    _die_with(parent)
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    questions, answers = sys.stdin.buffer, _private_stdout()
    job: Job = pickle.loads(_read(questions))  # noqa: S301 from our own parent
    work = job()
    _write(answers, b"ready")
    while question := _read(questions):
        _write(answers, _answer(work, load_source(question), memory_bytes))


def _answer(work: Work, source: Source, memory_bytes: int) -> bytes:
    try:
        return dump_document(work(source))
    except ParseError as error:
        return dump_error(error)
    except MemoryError:
        return dump_error(
            ParseError(
                "memory",
                f"{source.name} needs more than {memory_bytes >> 20:,} MiB of memory to read: "
                "split it into smaller documents",
            )
        )
    except Exception as error:  # noqa: BLE001 a process boundary: a malformed file makes a library raise anything
        traceback.print_tb(error.__traceback__)  # without the message, which may quote the document
        kind = type(error).__name__
        return dump_error(
            ParseError("broken", f"{source.name} can't be read ({kind}): save it anew and upload that")
        )


def _die_with(parent: int) -> None:
    """Even where the parent is killed and this process is deep in a library."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before
        sys.exit(1)


def _private_stdout() -> BinaryIO:
    """The pipe to the parent; what libraries print goes to stderr instead."""
    pipe = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return pipe


def _read(pipe: BinaryIO) -> bytes:
    header = pipe.read(LENGTH.size)
    return pipe.read(LENGTH.unpack(header)[0]) if len(header) == LENGTH.size else b""


def _write(pipe: BinaryIO, payload: bytes) -> None:
    pipe.write(framed(payload))
    pipe.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then closes the pipe
    main(int(sys.argv[1]), int(sys.argv[2]))
