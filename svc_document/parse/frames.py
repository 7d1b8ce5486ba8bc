"""What parent and parser process say to each other, each message with its length in front.

The parent is trusted and may send a pickled job. A process that has read a hostile file is not: it answers in JSON.
"""

import json
import struct
from pathlib import Path

from svc_document.chunking import ChunkedDocument, Passage
from svc_document.parse.document import ParseError, Source

LENGTH = struct.Struct(">Q")
ANSWER_MAX_BYTES = 1 << 30


def framed(payload: bytes) -> bytes:
    """A message as it goes through the pipe."""
    return LENGTH.pack(len(payload)) + payload


def dump_source(source: Source) -> bytes:
    """A question."""
    return json.dumps([str(source.path), source.name]).encode()


def load_source(payload: bytes) -> Source:
    """The question of a payload."""
    path, name = json.loads(payload)
    return Source(Path(path), name)


def dump_document(document: ChunkedDocument) -> bytes:
    """An answer."""
    chunks = [(chunk.page, chunk.start, chunk.end, chunk.text, chunk.headings) for chunk in document.chunks]
    return json.dumps([document.content_type, document.page_count, document.text_chars, chunks]).encode()


def dump_error(error: ParseError) -> bytes:
    """An answer that there is none."""
    return json.dumps({"code": error.code, "message": error.message}).encode()


def load_answer(payload: bytes) -> ChunkedDocument:
    """The document of a payload. Raises its ParseError."""
    answer = json.loads(payload)
    if isinstance(answer, dict):
        raise ParseError(str(answer["code"]), str(answer["message"]))
    content_type, page_count, text_chars, chunks = answer
    passages = (Passage(page, start, end, text, tuple(above)) for page, start, end, text, above in chunks)
    return ChunkedDocument(content_type, page_count, text_chars, tuple(passages))
