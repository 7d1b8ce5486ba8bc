"""The text of a document while it is being read: paragraphs go in, a ParsedDocument comes out."""

import re

from svc_document.parse.document import Heading, ParsedDocument, ParseError, Section, Source

PARAGRAPH = "\n\n"
LINE = "\n"

HEADING_MAX_CHARS = 200

_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufeff\ufffe\uffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


class Manuscript:
    """Collects text in reading order. Raises ParseError where there is more of it than `max_chars`."""

    def __init__(self, source: Source, *, max_chars: int) -> None:
        self._source = source
        self._max_chars = max_chars
        self._parts: list[str] = []
        self._length = 0
        self._page = 0
        self._path: tuple[Heading, ...] = ()
        self._sections: list[Section] = []
        self._opened_at: int | None = None  # where the section that is being written begins

    @property
    def is_blank(self) -> bool:
        """Whether no text came in so far."""
        return not self._parts

    def page(self, number: int) -> None:
        """What follows is on this page, below no heading."""
        self._close_section()
        self._page = number
        self._path = ()

    def heading(self, level: int, title: str) -> None:
        """What follows is below this heading, whose line is part of the text."""
        title = one_line(title)
        if not title:
            return
        self._close_section()
        self._append(title, PARAGRAPH)
        outer = tuple(heading for heading in self._path if heading.level < level)
        start = self._length - len(title)
        self._path = (*outer, Heading(level, title[:HEADING_MAX_CHARS], start))

    def paragraph(self, text: str) -> None:
        """A paragraph; its line breaks stay."""
        self._append(printable(text).strip(), PARAGRAPH)

    def line(self, text: str) -> None:
        """A line that belongs to the one before, such as a row of a table."""
        self._append(one_line(text), LINE)

    def finish(self, content_type: str, *, page_count: int = 0) -> ParsedDocument:
        """The document. Raises ParseError where there is nothing to read in it."""
        self._close_section()
        if self.is_blank:
            raise ParseError("no_text", f"{self._source.name} has no text in it: upload one that has")
        return ParsedDocument(content_type, page_count, "".join(self._parts), tuple(self._sections))

    def _append(self, text: str, separator: str) -> None:
        if not text:
            return
        if self._parts:
            self._parts.append(separator)
            self._length += len(separator)
        if self._opened_at is None:
            self._opened_at = self._length
        self._parts.append(text)
        self._length += len(text)
        if self._length > self._max_chars:
            raise too_much_text(self._source, self._max_chars)

    def _close_section(self) -> None:
        if self._opened_at is None:
            return
        self._sections.append(Section(self._page, self._path, self._opened_at, self._length))
        self._opened_at = None


def too_much_text(source: Source, max_chars: int) -> ParseError:
    """The error for a document that is longer than an operator allows."""
    return ParseError(
        "too_much_text",
        f"{source.name} has more than {max_chars:,} characters of text: split it into smaller documents",
    )


def printable(text: str) -> str:
    """Text without control characters, with one kind of line break and no halves of characters."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _SURROGATE.sub("\ufffd", _UNPRINTABLE.sub("", text))


def one_line(text: str) -> str:
    """Text with every run of white space as one blank."""
    return " ".join(printable(text).split())
