"""What every parser takes and gives."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Source:
    """A file to read, and how its owner calls it."""

    path: Path
    name: str


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of a document."""

    level: int  # 1 is the outermost
    title: str
    start: int  # where its own line begins in the text; headings differ by it


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of text on one page and below one heading. It begins with that heading's line."""

    page: int  # from 1; 0 where the format has no pages
    headings: tuple[Heading, ...]  # outermost first, its own last
    start: int  # first character, in code points
    end: int  # one past the last

    @property
    def level(self) -> int:
        """Of its own heading; 0 without one."""
        return self.headings[-1].level if self.headings else 0


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """A document as one text, and what that text is made of."""

    content_type: str
    page_count: int  # pages, slides or sheets; 0 where the format has none
    text: str
    sections: tuple[Section, ...]  # in order; only white space lies between them


class ParseError(Exception):
    """A document can't be read, now or ever. The message says what is wrong and what would be right.

    Codes: empty, unsupported_type, encoding, encrypted, truncated, broken, no_pages, no_text, too_much_text,
    too_large_unpacked; and from the pool: timeout, memory, crashed.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def encrypted(source: Source) -> ParseError:
    """The error for a document that a password guards."""
    return ParseError("encrypted", f"{source.name} is encrypted: remove the password and upload it again")
