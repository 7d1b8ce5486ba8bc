"""Markdown: its headings are found, all else is text as it was written."""

import re

from svc_document.parse.document import Source
from svc_document.parse.manuscript import Manuscript
from svc_document.parse.plain import decoded

LINE_MAX_CHARS = 1000  # longer ones are no headings

_FENCE = re.compile(r" {0,3}(```+|~~~+)")
_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.*)")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*")
_UNDERLINED_LEVEL = {"=": 1, "-": 2}
_FRONT_MATTER = re.compile(r"---\n(?:.*?\n)?---\n", re.DOTALL)


def read(source: Source, manuscript: Manuscript) -> int:
    """Fills in headings and paragraphs; returns 0, for there are no pages."""
    text = decoded(source)
    front_matter = _FRONT_MATTER.match(text)
    paragraph: list[str] = []
    fence = ""  # what closes the code block that is open

    def end_paragraph() -> None:
        manuscript.paragraph("\n".join(paragraph))
        paragraph.clear()

    for line in text[front_matter.end() if front_matter else 0 :].split("\n"):
        fence_line = _FENCE.match(line)
        if fence_line and (not fence or fence_line[1].startswith(fence)):
            fence = "" if fence else fence_line[1]
            paragraph.append(line)
        elif fence:
            paragraph.append(line)
        elif not line.strip():
            end_paragraph()
        elif heading := _heading(line):
            end_paragraph()
            manuscript.heading(*heading)
        elif len(paragraph) == 1 and (level := _underlined(line)):
            manuscript.heading(level, paragraph.pop())
        else:
            paragraph.append(line)
    end_paragraph()
    return 0


def _heading(line: str) -> tuple[int, str] | None:
    found = _HEADING.fullmatch(line) if len(line) <= LINE_MAX_CHARS else None
    return (len(found[1]), found[2].rstrip().rstrip("#").rstrip()) if found else None


def _underlined(line: str) -> int | None:
    found = _UNDERLINE.fullmatch(line) if len(line) <= LINE_MAX_CHARS else None
    return _UNDERLINED_LEVEL[found[1][0]] if found else None
