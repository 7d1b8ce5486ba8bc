"""DOCX: paragraphs, headings and tables in the order of the document."""

import re
from collections.abc import Iterator

import docx
from docx.document import Document
from docx.oxml.ns import qn
from docx.oxml.xmlchemy import BaseOxmlElement
from docx.styles.style import BaseStyle, ParagraphStyle

from svc_document.parse.archive import check_archive, opening
from svc_document.parse.document import Source
from svc_document.parse.manuscript import Manuscript

TITLE_LEVEL = 1
CELL_SEPARATOR = " | "

_TEXT, _TAB, _BREAK, _RETURN = qn("w:t"), qn("w:tab"), qn("w:br"), qn("w:cr")
_PARAGRAPH, _TABLE, _ROW, _CELL = qn("w:p"), qn("w:tbl"), qn("w:tr"), qn("w:tc")
_PROPERTIES = {qn("w:pPr"), qn("w:rPr"), qn("w:tblPr"), qn("w:sectPr")}
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"  # says the same again
_HEADING = re.compile(r"heading (\d)", re.IGNORECASE)


def read(source: Source, manuscript: Manuscript) -> int:
    """Fills in the document; a DOCX doesn't know its pages, so it returns 0."""
    check_archive(source)
    with opening(source, "DOCX"):
        document = docx.Document(str(source.path))
        levels = _heading_levels(document)
        for block in _blocks(document.element.body):
            if block.tag == _TABLE:
                _read_table(block, manuscript)
            else:
                _read_paragraph(block, levels, manuscript)
    return 0


def _read_paragraph(paragraph: BaseOxmlElement, levels: dict[str, int], manuscript: Manuscript) -> None:
    style = paragraph.find(f"{qn('w:pPr')}/{qn('w:pStyle')}")
    level = None if style is None else levels.get(style.get(qn("w:val"), ""))
    if level is None:
        manuscript.paragraph(_text(paragraph))
    else:
        manuscript.heading(level, _text(paragraph))


def _read_table(table: BaseOxmlElement, manuscript: Manuscript) -> None:
    for row in table.iter(_ROW):
        cells = (_text(cell) for cell in _children(row, _CELL))
        manuscript.line(CELL_SEPARATOR.join(cell for cell in cells if cell.strip()))


def _blocks(element: BaseOxmlElement) -> Iterator[BaseOxmlElement]:
    """Paragraphs and tables, also those in content controls and tracked changes."""
    for child in element:
        if child.tag in (_PARAGRAPH, _TABLE):
            yield child
        elif child.tag not in _PROPERTIES:
            yield from _blocks(child)


def _children(element: BaseOxmlElement, tag: str) -> Iterator[BaseOxmlElement]:
    """The next elements of a kind below, not those nested in them."""
    for child in element:
        if child.tag == tag:
            yield child
        elif child.tag not in _PROPERTIES:
            yield from _children(child, tag)


def _text(element: BaseOxmlElement) -> str:
    return "".join(_pieces(element))


def _pieces(element: BaseOxmlElement) -> Iterator[str]:
    for child in element:
        if child.tag == _TEXT:
            yield child.text or ""
        elif child.tag == _TAB:
            yield "\t"
        elif child.tag in (_BREAK, _RETURN):
            yield "\n"
        elif child.tag not in _PROPERTIES and child.tag != _FALLBACK:
            yield from _pieces(child)
            if child.tag in (_PARAGRAPH, _CELL):
                yield "\n"


def _heading_levels(document: Document) -> dict[str, int]:
    """Ids of the styles that make a paragraph a heading."""
    levels = {style.style_id: _level(style) for style in document.styles}
    return {style_id: level for style_id, level in levels.items() if level is not None}


def _level(style: BaseStyle | None) -> int | None:
    """Its own name tells, or that of a style it is based on."""
    while style is not None:
        name = style.name or ""
        if heading := _HEADING.fullmatch(name):
            return int(heading[1])
        if name == "Title":
            return TITLE_LEVEL
        style = style.base_style if isinstance(style, ParagraphStyle) else None
    return None
