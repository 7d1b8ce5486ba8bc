"""PPTX: a slide is a page with its title, texts, tables and notes."""

from collections.abc import Iterable

import pptx
from pptx.shapes.base import BaseShape
from pptx.shapes.graphfrm import GraphicFrame
from pptx.shapes.group import GroupShape
from pptx.slide import Slide
from pptx.table import Table

from svc_document.parse.archive import check_archive, opening
from svc_document.parse.document import ParseError, Source
from svc_document.parse.docx import CELL_SEPARATOR
from svc_document.parse.manuscript import Manuscript


def read(source: Source, manuscript: Manuscript) -> int:
    """Fills in the slides; returns how many there are."""
    check_archive(source)
    with opening(source, "PPTX"):
        slides = pptx.Presentation(str(source.path)).slides
        if len(slides) == 0:
            raise ParseError("no_pages", f"{source.name} has no slides: upload one that has")
        for number, slide in enumerate(slides, start=1):
            manuscript.page(number)
            _read_slide(slide, manuscript)
        return len(slides)


def _read_slide(slide: Slide, manuscript: Manuscript) -> None:
    title = slide.shapes.title
    if title is not None:
        manuscript.heading(1, title.text_frame.text)
    title_id = None if title is None else title.shape_id
    _read_shapes((shape for shape in slide.shapes if shape.shape_id != title_id), manuscript)
    if slide.has_notes_slide and (notes := slide.notes_slide.notes_text_frame) is not None:
        manuscript.paragraph(notes.text)


def _read_shapes(shapes: Iterable[BaseShape], manuscript: Manuscript) -> None:
    for shape in shapes:
        if isinstance(shape, GroupShape):
            _read_shapes(shape.shapes, manuscript)
        elif isinstance(shape, GraphicFrame) and shape.has_table:
            _read_table(shape.table, manuscript)
        elif shape.has_text_frame:
            manuscript.paragraph(shape.text_frame.text)  # pyright: ignore[reportAttributeAccessIssue] has one


def _read_table(table: Table, manuscript: Manuscript) -> None:
    for row in table.rows:
        cells = (cell.text for cell in row.cells if not cell.is_spanned)
        manuscript.line(CELL_SEPARATOR.join(cell for cell in cells if cell.strip()))
