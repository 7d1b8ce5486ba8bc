"""Documents that can't be read: each is refused by its name, with what is wrong and what would be right."""

import gzip
import os
from pathlib import Path

import pytest

from svc_document.parse.document import ParseError
from svc_document.parse.read import read
from svc_document.parse.sniff import looks_like_text
from tests.unit import parse_samples as samples

BOMB = b"<w:document>" + b" " * (64 << 20)
ENTITIES = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]><x>&b;</x>'
OFFICE_97 = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600
WORD = samples.saved(samples.word())
PDF = samples.pdf("Some text. " * 500)
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256))


@pytest.mark.parametrize(
    ("code", "name", "content"),
    [
        ("empty", "a.pdf", b""),
        ("empty", "a.txt", b" \n\t \r\n"),
        ("no_text", "a.md", b"---\n---\n\xe3\x80\x80"),
        ("no_text", "a.html", b"<html><body><script>x</script></body></html>"),
        ("unsupported_type", "a.txt", PNG),
        ("unsupported_type", "a.txt", gzip.compress(os.urandom(500))),
        ("unsupported_type", "a.md", b"\x7fELF" + bytes(300)),
        ("unsupported_type", "a.doc", OFFICE_97),
        ("unsupported_type", "a.rtf", b"{\\rtf1 text}"),
        ("unsupported_type", "a.docx", samples.archive({"a.txt": "text"})),
        ("encrypted", "a.docx", OFFICE_97 + "EncryptedPackage".encode("utf-16-le")),
        ("encrypted", "a.pdf", samples.pdf("secret", lock="x")),
        ("truncated", "a.pdf", PDF[: len(PDF) // 2]),
        ("truncated", "a.pdf", b"%PDF-1.7\n"),
        ("truncated", "a.docx", WORD[: len(WORD) // 2]),
        ("broken", "a.pdf", b"%PDF-1.7\nnothing\n%%EOF\n"),
        ("broken", "a.docx", samples.replaced(WORD, "word/document.xml", b"<w:document")),
        ("broken", "a.docx", samples.replaced(WORD, "word/document.xml", ENTITIES)),
        ("broken", "a.docx", samples.replaced(WORD, "word/document.xml", ENTITIES.decode().encode("utf-16"))),
        ("no_pages", "a.xlsx", samples.replaced(samples.workbook(), "xl/workbook.xml", b"<workbook/>")),
        ("broken", "a.epub", samples.archive({"META-INF/container.xml": "<container/>"})),
        ("no_pages", "a.pdf", samples.pdf_without_pages()),
        ("no_pages", "a.pptx", samples.saved(samples.pptx.Presentation())),
        ("no_text", "a.pdf", samples.pdf("", "")),
        ("too_large_unpacked", "a.docx", samples.replaced(WORD, "word/document.xml", BOMB)),
        ("too_large_unpacked", "a.epub", samples.archive({"META-INF/container.xml": BOMB})),
        ("too_much_text", "a.txt", b"many words " * 20_000),
    ],
)
def test_what_cannot_be_read_is_refused_by_name_and_reason(tmp_path: Path, code: str, name: str, content: bytes):
    with pytest.raises(ParseError) as caught:
        read(samples.source(tmp_path, name, content), max_chars=100_000)

    assert caught.value.code == code
    assert caught.value.message.startswith(name)
    assert ": " in caught.value.message


def test_an_image_says_what_it_is(tmp_path: Path):
    with pytest.raises(ParseError, match="Portable Network Graphics"):
        read(samples.source(tmp_path, "a.txt", PNG), max_chars=100)


@pytest.mark.parametrize("name", ["a.txt", "a.pdf", "a.docx", "no name at all"])
def test_the_name_of_a_file_is_not_believed(tmp_path: Path, name: str):
    assert read(samples.source(tmp_path, name, WORD), max_chars=10_000).text.startswith("Towers")
    assert read(samples.source(tmp_path, name, PDF), max_chars=10_000).page_count == 1
    assert read(samples.source(tmp_path, name, "plain text"), max_chars=10_000).text == "plain text"


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("content", [PDF, WORD, samples.slides(), samples.workbook(), samples.book()])
def test_a_file_that_breaks_off_anywhere_is_refused(tmp_path: Path, content: bytes, share: float):
    with pytest.raises(ParseError):
        read(samples.source(tmp_path, "a", content[: int(len(content) * share)]), max_chars=100_000)


@pytest.mark.parametrize("data", [b"\x00\x01\x02", b"\x00\x01" * 50, bytes(64), b"\x7f\x00\x01\x00" * 9])
def test_a_few_bytes_of_a_program_are_not_utf16(data):
    assert not looks_like_text(data)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_a_mark_is_text(encoding):
    assert looks_like_text("The ferry leaves at six.".encode(encoding))
