"""Documents made in code, whole and hostile ones."""

import zipfile
from io import BytesIO
from pathlib import Path

import docx
import fpdf
import openpyxl
import pptx
from docx.document import Document
from pptx.util import Inches

from svc_document.parse.document import Source


def source(folder: Path, name: str, content: bytes | str) -> Source:
    path = folder / "original"  # a blob has no extension
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return Source(path, name)


def pdf(*pages: str, lock: str = "") -> bytes:
    document = fpdf.FPDF()
    document.set_font("helvetica", size=12)
    if lock:
        document.set_encryption(owner_password=lock, user_password=lock)
    for page in pages:
        document.add_page()
        if page:
            document.multi_cell(0, text=page)
    return bytes(document.output())


def pdf_without_pages() -> bytes:
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [] /Count 0 >>"]
    body, offsets = b"%PDF-1.7\n", list[int]()
    for number, content in enumerate(objects, start=1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    trailer = b"trailer\n<< /Size 3 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % len(body)
    return body + b"xref\n0 3\n0000000000 65535 f \n" + table + trailer


def word() -> Document:
    document = docx.Document()
    document.add_heading("Towers", 1)
    document.add_paragraph("The tower is 330 m tall.")
    document.add_heading("Height", 2)
    table = document.add_table(rows=2, cols=2)
    for cell, text in zip(table._cells, ["Name", "Height", "Eiffel", "330 m"], strict=True):
        cell.text = text
    document.add_paragraph("After the table.")
    return document


def slides() -> bytes:
    deck = pptx.Presentation()
    first = deck.slides.add_slide(deck.slide_layouts[5])
    first.shapes.title.text = "Opening"
    first.shapes.add_textbox(0, 0, Inches(1), Inches(1)).text_frame.text = "In a box"
    first.notes_slide.notes_text_frame.text = "Say hello"
    second = deck.slides.add_slide(deck.slide_layouts[6])
    table = second.shapes.add_table(1, 2, 0, 0, Inches(2), Inches(1)).table
    table.cell(0, 0).text, table.cell(0, 1).text = "left", "right"
    group = second.shapes.add_group_shape()
    group.shapes.add_textbox(0, 0, Inches(1), Inches(1)).text_frame.text = "In a group"
    return saved(deck)


def workbook() -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Towers"
    for row in (["Name", "Height"], ["Eiffel", 330], ["Tokyo", "=B2+3"]):
        sheet.append(row)
    book.create_sheet("Empty")
    book.create_sheet("Numbers").append([1, 2.5, True])
    return saved(book)


def saved(document) -> bytes:
    buffer = BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def archive(members: dict[str, bytes | str]) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in members.items():
            made.writestr(name, content)
    return buffer.getvalue()


def replaced(package: bytes, member: str, content: bytes) -> bytes:
    """A package with one member's content exchanged."""
    with zipfile.ZipFile(BytesIO(package)) as opened:
        members = {name: opened.read(name) for name in opened.namelist()}
    return archive({**members, member: content})


def book() -> bytes:
    return archive(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
            '<rootfiles><rootfile full-path="OEBPS/content.opf"/></rootfiles></container>',
            "OEBPS/content.opf": '<package xmlns="http://www.idpf.org/2007/opf"><manifest>'
            '<item id="a" href="one.xhtml"/><item id="b" href="text%20two.xhtml"/></manifest>'
            '<spine><itemref idref="b"/><itemref idref="a"/></spine></package>',
            "OEBPS/one.xhtml": "<html><body><h1>One</h1><p>First file.</p></body></html>",
            "OEBPS/text two.xhtml": "<html><body><h1>Two</h1><p>第二个文件。</p></body></html>",
        }
    )
