"""Jobs for parser processes that misbehave on purpose: what a document is called decides how."""

import ctypes
import os
import threading

from svc_document.chunking import ChunkedDocument
from svc_document.parse.document import Source
from svc_document.parse.job import Work


def faulty() -> Work:
    return work


def never_starts() -> Work:
    raise RuntimeError("on purpose")


def work(source: Source) -> ChunkedDocument:
    match source.name:
        case "hang":
            threading.Event().wait()
        case "memory":
            bytearray(4 << 30)
        case "crash":
            ctypes.string_at(0)
        case "exit":
            os._exit(1)
        case "raise":
            raise KeyError(source.name)
        case "chatter":
            os.write(1, b"a library prints something")
    return ChunkedDocument(source.name, os.getpid(), 0, ())
