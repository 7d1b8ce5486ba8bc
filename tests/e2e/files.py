"""Small documents with a known text, made by the libraries that people's programs use."""

import io

import docx as python_docx
import openpyxl
import pptx as python_pptx


def docx(text: str) -> bytes:
    document = python_docx.Document()
    document.add_paragraph(text)
    return _saved(document)


def pptx(slides: list[str]) -> bytes:
    deck = python_pptx.Presentation()
    for text in slides:
        slide = deck.slides.add_slide(deck.slide_layouts[5])
        slide.shapes.title.text = text
    return _saved(deck)


def xlsx(sheets: dict[str, list[list[str]]]) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    return _saved(book)


def html(text: str) -> bytes:
    return f"<!doctype html><html><body><nav>menu</nav><p>{text}</p></body></html>".encode()


def _saved(document) -> bytes:
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()
