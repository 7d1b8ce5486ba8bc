"""Plain text, in whatever encoding it comes."""

import re

import charset_normalizer

from svc_document.parse.document import ParseError, Source
from svc_document.parse.manuscript import PARAGRAPH, Manuscript
from svc_document.parse.sniff import is_utf16

SAMPLE_BYTES = 1 << 18
DAMAGE_MAX = 0.02  # share of the non-ASCII characters that may be broken in what is still UTF-8

_MARKS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32-le"),  # before UTF-16, whose mark it begins with
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_NON_ASCII = re.compile(r"[^\x00-\x7f]")
_WESTERN = "cp1252"


def read(source: Source, manuscript: Manuscript) -> int:
    """Fills in the paragraphs; returns 0, for there are no pages."""
    for paragraph in decoded(source).split(PARAGRAPH):
        manuscript.paragraph(paragraph)
    return 0


def decoded(source: Source) -> str:
    """The text of a file, with one kind of line break. Raises ParseError where its encoding can't be found."""
    data = source.path.read_bytes()
    text = _marked(data) or _utf8(data) or _guessed(data)
    if text is None:
        raise ParseError("encoding", f"{source.name} is in no encoding that can be told: save it as UTF-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _marked(data: bytes) -> str | None:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, errors="replace")
    if is_utf16(data[:SAMPLE_BYTES]):
        little_endian = data[1:SAMPLE_BYTES:2].count(0) > data[0:SAMPLE_BYTES:2].count(0)
        return data.decode("utf-16-le" if little_endian else "utf-16-be", errors="replace")
    return None


def _utf8(data: bytes) -> str | None:
    """UTF-8, also where a few characters of a long text are damaged: each becomes U+FFFD."""
    text = data.decode("utf-8", errors="replace")
    damaged = text.count("\ufffd")
    if damaged and damaged > DAMAGE_MAX * len(_NON_ASCII.findall(text)):
        return None
    return text


def _guessed(data: bytes) -> str | None:
    guesses = charset_normalizer.from_bytes(data[:SAMPLE_BYTES])
    best = guesses.best()
    if best is None:
        return None
    as_likely = {
        encoding
        for guess in guesses
        if (guess.chaos, guess.coherence) == (best.chaos, best.coherence)
        for encoding in guess.could_be_from_charset
    }
    return data.decode(_WESTERN if _WESTERN in as_likely else best.encoding, errors="replace")
