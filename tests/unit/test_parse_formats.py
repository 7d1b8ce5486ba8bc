"""Reading: what is in a document comes out, in order, with its pages and headings."""

from pathlib import Path

import docx
import pytest
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls
from hypothesis import given, settings
from hypothesis import strategies as st

from svc_document.parse.document import ParsedDocument
from svc_document.parse.pdf import reflow
from svc_document.parse.read import read
from svc_document.parse.sniff import ContentType
from tests.unit import parse_samples as samples


def parsed(folder: Path, name: str, content: bytes | str) -> ParsedDocument:
    return read(samples.source(folder, name, content), max_chars=1_000_000)


def outline(document: ParsedDocument) -> list[tuple[int, list[str]]]:
    return [(section.page, [heading.title for heading in section.headings]) for section in document.sections]


def page(document: ParsedDocument, number: int) -> str:
    return "".join(document.text[s.start : s.end] for s in document.sections if s.page == number)


def test_pdf_pages_are_kept_apart_and_broken_lines_joined(tmp_path: Path):
    sentence = "A tower stands in the middle of a wide field where nobody would look for one at all, and "
    document = parsed(tmp_path, "a.pdf", samples.pdf(sentence * 3 + "it is tall.", "", "Second text."))

    assert document.content_type == ContentType.PDF
    assert document.page_count == 3
    assert page(document, 1) == sentence * 3 + "it is tall."
    assert page(document, 3) == "Second text."


def test_chinese_lines_are_joined_without_a_blank():
    assert reflow("埃菲尔铁塔位于巴黎\r\n战神广场。\r\n短\r\n") == ["埃菲尔铁塔位于巴黎战神广场。", "短", ""]


def test_a_word_broken_by_a_hyphen_is_whole_again():
    assert reflow("the con\ufffe\r\nstruction of it") == ["the construction of it"]


def test_docx_headings_and_tables_come_in_order(tmp_path: Path):
    document = parsed(tmp_path, "a.docx", samples.saved(samples.word()))

    assert document.text == (
        "Towers\n\nThe tower is 330 m tall.\n\nHeight\nName | Height\nEiffel | 330 m\n\nAfter the table."
    )
    assert outline(document) == [(0, ["Towers"]), (0, ["Towers", "Height"])]


def test_docx_text_in_tracked_changes_and_content_controls_is_read_and_deleted_text_is_not(tmp_path: Path):
    word = docx.Document()
    for inner in (
        "<w:p><w:ins><w:r><w:t>inserted</w:t></w:r></w:ins><w:del><w:r><w:delText>gone</w:delText></w:r></w:del></w:p>",
        "<w:sdt><w:sdtContent><w:p><w:r><w:t>controlled</w:t></w:r></w:p></w:sdtContent></w:sdt>",
    ):
        word.element.body.insert(0, parse_xml(inner.replace(">", f" {nsdecls('w')}>", 1)))

    assert parsed(tmp_path, "a.docx", samples.saved(word)).text == "controlled\n\ninserted"


def test_pptx_slides_are_pages_with_tables_groups_and_notes(tmp_path: Path):
    document = parsed(tmp_path, "a.pptx", samples.slides())

    assert document.page_count == 2
    assert page(document, 1) == "Opening\n\nIn a box\n\nSay hello"
    assert page(document, 2) == "left | right\n\nIn a group"
    assert outline(document)[0] == (1, ["Opening"])


def test_xlsx_sheets_are_pages_and_column_names_are_above_their_rows(tmp_path: Path):
    document = parsed(tmp_path, "a.xlsx", samples.workbook())

    assert document.page_count == 3
    assert page(document, 1).endswith("Eiffel | 330\nTokyo")  # openpyxl saved the formula without a value
    assert outline(document)[1] == (1, ["Towers", "Name | Height"])
    assert page(document, 2) == ""
    assert page(document, 3).startswith("Numbers\n1 | 2.5 | True")


@pytest.mark.parametrize(
    "content",
    [
        "Name;City\nEiffel;Paris\nTokyo;Minato\n",
        '"Name","City"\r\n"Eiffel","Paris"\r\n"Tokyo","Minato"\r\n',
        "Name\tCity\nEiffel\tParis\n\nTokyo\tMinato",
        "Name|City\nEiffel|Paris\nTokyo|Minato\n".encode("utf-16"),
    ],
)
def test_csv_of_any_dialect_is_the_same_table(tmp_path: Path, content: str | bytes):
    document = parsed(tmp_path, "a.csv", content)

    assert document.text == "Name | City\nEiffel | Paris\nTokyo | Minato"
    assert outline(document) == [(0, ["Name | City"])]


def test_csv_of_one_column_is_read_line_by_line(tmp_path: Path):
    assert parsed(tmp_path, "a.csv", "1\n2\n3\n").text == "1\n2\n3"


def test_html_is_what_a_reader_sees(tmp_path: Path):
    markup = """<!doctype html><html><head><title>x</title><style>p {}</style></head><body>
      <nav>Menu</nav><h1>Big <b>tower</b></h1><p>It   is
      <a href=x>tall</a>.<br>Really.</p>loose<div>boxed</div>after<script>evil()</script>
      <h2>Table</h2><table><tr><th>Name<th><p>Height</p><tr><td>Eiffel<td>330</table>
      <pre>a
  b</pre></body></html>"""

    document = parsed(tmp_path, "page", markup)

    assert document.content_type == ContentType.HTML
    assert document.text == (
        "Big tower\n\nIt is tall.\nReally.\n\nloose\n\nboxed\n\nafter\n\n"
        "Table\nName | Height\nEiffel | 330\n\na\n  b"
    )
    assert outline(document) == [(0, ["Big tower"]), (0, ["Big tower", "Table"])]


def test_html_nested_twenty_thousand_deep_is_read(tmp_path: Path):
    assert parsed(tmp_path, "a.html", "<html>" + "<div>" * 20_000 + "deep").text == "deep"


def test_markdown_headings_are_found_and_not_in_code(tmp_path: Path):
    markdown = "---\ntitle: x\n---\n# One\ntext\n\nTwo\n---\n```\n# code\n```\n### Three ###\nend"

    document = parsed(tmp_path, "README.md", markdown)

    assert document.text == "One\n\ntext\n\nTwo\n\n```\n# code\n```\n\nThree\n\nend"
    assert outline(document) == [(0, ["One"]), (0, ["One", "Two"]), (0, ["One", "Two", "Three"])]


def test_epub_chapters_come_in_the_order_of_the_spine(tmp_path: Path):
    document = parsed(tmp_path, "a.epub", samples.book())

    assert document.page_count == 2
    assert document.text == "Two\n\n第二个文件。\n\nOne\n\nFirst file."


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-8", "Grüße aus 北京 👋"),
        ("utf-8-sig", "Grüße aus 北京"),
        ("utf-16", "Grüße aus 北京"),
        ("utf-32", "Grüße aus 北京"),
        ("utf-16-le", "A text without a byte order mark."),
        ("utf-16-be", "A text without a byte order mark."),
        ("gb18030", "今天天气很好，我们去公园散步。"),
        ("big5", "檢索增強生成系統把文件切成小段，再找到相關的段落。"),
        ("shift_jis", "今日は天気がいいので散歩に行きましょう。"),
        ("cp1252", "Le café est très près de l’hôtel où nous étions l’année dernière."),
        ("cp1251", "Привет, как дела? Сегодня хорошая погода."),
    ],
)
def test_plain_text_of_any_encoding_is_read(tmp_path: Path, encoding: str, text: str):
    document = parsed(tmp_path, "a.txt", text.encode(encoding))

    assert document.content_type == ContentType.PLAIN
    assert document.text == text


def test_a_damaged_character_costs_only_itself(tmp_path: Path):
    content = "很好。".encode() * 100 + b"\xff" + "很好。".encode()

    assert parsed(tmp_path, "a.txt", content).text == "很好。" * 100 + "\ufffd很好。"


def test_control_characters_are_left_out(tmp_path: Path):
    assert parsed(tmp_path, "a.txt", "a\ufeff\x0cb\r\nc\rd" + "e" * 200).text == "ab\nc\nd" + "e" * 200


def test_a_huge_single_line_is_read(tmp_path: Path):
    assert len(parsed(tmp_path, "a.txt", "word " * 180_000).text) == 899_999


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])), st.sampled_from(["a.md", "a.csv", "a.html"]))
def test_sections_hold_all_text_and_begin_with_their_headings(tmp_path_factory, text: str, name: str):
    document = parsed(tmp_path_factory.mktemp("any"), name, f"visible {text}")

    gaps = document.text
    for section in reversed(document.sections):
        gaps = gaps[: section.start] + gaps[section.end :]
        for heading in section.headings:
            assert document.text.startswith(heading.title, heading.start)
    assert not gaps.strip()
