"""What a file is, found in its bytes. Its name is asked only which kind of text a text is."""

import re
import zipfile
from enum import StrEnum
from pathlib import PurePath

import puremagic

from svc_document.parse.document import ParseError, Source, encrypted

HEAD_BYTES = 65_536
ACCEPTED = "upload PDF, DOCX, PPTX, XLSX, EPUB, HTML, Markdown, CSV or plain text"


class ContentType(StrEnum):
    """Media types that can be read."""

    PDF = "application/pdf"
    DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
    XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    EPUB = "application/epub+zip"
    HTML = "text/html"
    MARKDOWN = "text/markdown"
    CSV = "text/csv"
    PLAIN = "text/plain"


_KINDS_OF_TEXT = {
    ".md": ContentType.MARKDOWN,
    ".markdown": ContentType.MARKDOWN,
    ".csv": ContentType.CSV,
    ".tsv": ContentType.CSV,
    ".htm": ContentType.HTML,
    ".html": ContentType.HTML,
    ".xhtml": ContentType.HTML,
}
_KINDS_OF_ZIP = {
    "word/document.xml": ContentType.DOCX,
    "ppt/presentation.xml": ContentType.PPTX,
    "xl/workbook.xml": ContentType.XLSX,
    "META-INF/container.xml": ContentType.EPUB,
}
_HTML = re.compile(rb"\s*(?:<\?xml[^>]{0,200}\?>\s*)?<(?:!doctype\s+html|html)[\s>]", re.IGNORECASE)
_OFFICE_97 = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED_OFFICE = "EncryptedPackage".encode("utf-16-le")
_BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff", b"\xef\xbb\xbf")
_CONTROL = bytes({*range(0x20)} - {*b"\t\n\x0b\x0c\r\x1a\x1b"})
_CONTROL_SHARE_MAX = 0.01


def sniff(source: Source) -> ContentType:
    """The file's media type. Raises ParseError where it is empty or nothing that can be read."""
    with source.path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head.strip():
        raise ParseError("empty", f"{source.name} is empty: upload a file with text in it")
    if b"%PDF-" in head[:1024]:
        return ContentType.PDF
    if head.startswith(b"PK"):
        return _kind_of_zip(source)
    if head.startswith(_OFFICE_97):
        raise _office_97(source)
    if head.startswith(b"{\\rtf"):
        raise _unsupported(source, "a Rich Text document")
    if not looks_like_text(head):
        raise _unsupported(source, _binary(source))
    return _kind_of_text(source, head)


def looks_like_text(head: bytes) -> bool:
    """Whether the first bytes of a file are characters, in whatever encoding."""
    if head.startswith(_BYTE_ORDER_MARKS) or is_utf16(head):
        return True
    return b"\0" not in head and _is_printable(head)


def is_utf16(head: bytes) -> bool:
    """Whether bytes without a byte order mark are UTF-16: every other byte of most of it is then zero."""
    pairs = len(head) // 2
    sparse, dense = sorted((head[0 : 2 * pairs : 2], head[1 : 2 * pairs : 2]), key=lambda half: -half.count(0))
    return sparse.count(0) > 0.7 * pairs and dense.count(0) == 0 and pairs > 0 and _is_printable(dense)


def _is_printable(data: bytes) -> bool:
    control = len(data) - len(data.translate(None, _CONTROL))
    return control <= _CONTROL_SHARE_MAX * len(data)


def _kind_of_text(source: Source, head: bytes) -> ContentType:
    if _HTML.match(head.removeprefix(b"\xef\xbb\xbf")):
        return ContentType.HTML
    return _KINDS_OF_TEXT.get(PurePath(source.name).suffix.lower(), ContentType.PLAIN)


def _kind_of_zip(source: Source) -> ContentType:
    try:
        with zipfile.ZipFile(source.path) as archive:
            members = set(archive.namelist())
    except (zipfile.BadZipFile, ValueError, EOFError, UnicodeDecodeError) as error:
        raise ParseError("truncated", f"{source.name} breaks off or is damaged: upload it again, whole") from error
    for member, content_type in _KINDS_OF_ZIP.items():
        if member in members:
            return content_type
    raise _unsupported(source, "a ZIP archive without a document that can be read in it")


def _office_97(source: Source) -> ParseError:
    if _ENCRYPTED_OFFICE in source.path.read_bytes():
        return encrypted(source)
    return _unsupported(source, "an Office 97-2003 document; save it as DOCX, PPTX or XLSX")


def _binary(source: Source) -> str:
    try:
        return f"{puremagic.magic_file(source.path)[0].name or 'binary data'}, not text"
    except (puremagic.PureError, IndexError, ValueError):
        return "binary data, not text"


def _unsupported(source: Source, what: str) -> ParseError:
    return ParseError("unsupported_type", f"{source.name} is {what}: {ACCEPTED}")
