"""One document, read with the reader for what it is."""

from collections.abc import Callable

from svc_document.parse import docx, epub, html, markdown, pdf, plain, pptx, spreadsheet
from svc_document.parse.document import ParsedDocument, Source
from svc_document.parse.manuscript import Manuscript
from svc_document.parse.sniff import ContentType, sniff

READERS: dict[ContentType, Callable[[Source, Manuscript], int]] = {
    ContentType.PDF: pdf.read,
    ContentType.DOCX: docx.read,
    ContentType.PPTX: pptx.read,
    ContentType.XLSX: spreadsheet.read_xlsx,
    ContentType.EPUB: epub.read,
    ContentType.HTML: html.read,
    ContentType.MARKDOWN: markdown.read,
    ContentType.CSV: spreadsheet.read_csv,
    ContentType.PLAIN: plain.read,
}


def read(source: Source, *, max_chars: int) -> ParsedDocument:
    """Reads a document. Raises ParseError; anything else it raises means that the file is malformed."""
    content_type = sniff(source)
    manuscript = Manuscript(source, max_chars=max_chars)
    page_count = READERS[content_type](source, manuscript)
    return manuscript.finish(content_type, page_count=page_count)
