"""PDF: text page by page. Lines that were broken to fit the page are joined again."""

import os
import unicodedata

import pypdfium2
from pypdfium2 import raw

from svc_document.parse.document import ParseError, Source, encrypted
from svc_document.parse.manuscript import Manuscript

TAIL_BYTES = 65_536
FULL_LINE = 0.7  # of the page's longest: a line that long was broken by the margin, not by its author

_HYPHEN = "\ufffe"  # what PDFium puts in the place of one that breaks a word over two lines
_SENTENCE_ENDS = tuple(".!?:;。！？：；…")


def read(source: Source, manuscript: Manuscript) -> int:
    """Fills in the pages; returns how many there are."""
    document = _open(source)
    try:
        for number in range(len(document)):
            manuscript.page(number + 1)
            for paragraph in reflow(_text(source, document, number)):
                manuscript.paragraph(paragraph)
        if manuscript.is_blank:
            raise ParseError(
                "no_text",
                f"{source.name} has no text on its {len(document)} pages, it looks scanned: "
                "run it through text recognition (OCR) and upload the result",
            )
        return len(document)
    finally:
        document.close()


def reflow(text: str) -> list[str]:
    """Paragraphs of a page: a full line runs on into the next one, unless a sentence ends with it."""
    lines = [line.strip() for line in text.replace(f"{_HYPHEN}\r\n", "").replace(_HYPHEN, "").splitlines()]
    full = FULL_LINE * max((_width(line) for line in lines), default=0)
    paragraphs: list[list[str]] = [[]]
    for line in lines:
        paragraphs[-1].append(line)
        if _width(line) < full or line.endswith(_SENTENCE_ENDS):
            paragraphs.append([])
    return [_join(paragraph) for paragraph in paragraphs]


def _open(source: Source) -> pypdfium2.PdfDocument:
    """Asks PDFium itself, for PdfDocument does not tell a file without pages from one that is malformed."""
    handle = raw.FPDF_LoadDocument(os.fsencode(source.path), None)
    if not handle:
        raise _unreadable(source, is_locked=raw.FPDF_GetLastError() == raw.FPDF_ERR_PASSWORD)
    document = pypdfium2.PdfDocument(handle)
    if len(document) == 0:
        raise ParseError("no_pages", f"{source.name} has no pages: upload one that has")
    return document


def _unreadable(source: Source, *, is_locked: bool = False) -> ParseError:
    if is_locked:
        return encrypted(source)
    if not _is_whole(source):
        return ParseError("truncated", f"{source.name} breaks off before its end: upload it again, whole")
    return ParseError("broken", f"{source.name} is not a valid PDF: save or print it to PDF anew and upload that")


def _is_whole(source: Source) -> bool:
    with source.path.open("rb") as file:
        file.seek(max(0, source.path.stat().st_size - TAIL_BYTES))
        return b"%%EOF" in file.read()


def _text(source: Source, document: pypdfium2.PdfDocument, index: int) -> str:
    try:
        page = document[index]
        text = page.get_textpage().get_text_bounded()
        page.close()
    except pypdfium2.PdfiumError as error:
        raise _unreadable(source) from error
    return text


def _width(line: str) -> int:
    if line.isascii():
        return len(line)
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in line)


def _join(lines: list[str]) -> str:
    joined = ""
    for line in lines:
        joined += line if not joined or (_is_wide(joined[-1]) and _is_wide(line[:1])) else f" {line}"
    return joined


def _is_wide(char: str) -> bool:
    return char != "" and unicodedata.east_asian_width(char) in "WF"
