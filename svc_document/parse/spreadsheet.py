"""XLSX and CSV: a sheet is a page, a row is a line, and the row of column names is a heading above them."""

import csv
import io
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import datetime, time

import openpyxl

from svc_document.parse.archive import check_archive, opening
from svc_document.parse.document import ParseError, Source
from svc_document.parse.docx import CELL_SEPARATOR
from svc_document.parse.manuscript import HEADING_MAX_CHARS, Manuscript
from svc_document.parse.plain import decoded

SHEET_LEVEL = 1
COLUMNS_LEVEL = 2
DELIMITERS = ",;\t|"
SAMPLE_CHARS = 8192
CELL_MAX_CHARS = 1 << 24

Row = Sequence[str]


def read_xlsx(source: Source, manuscript: Manuscript) -> int:
    """Fills in the sheets, formulas as the values they last had; returns how many sheets there are."""
    check_archive(source)
    with opening(source, "XLSX"), source.path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about styles and validations that don't matter here
        workbook = openpyxl.load_workbook(file, read_only=True, data_only=True)
        with closing(workbook):
            if not workbook.worksheets:
                raise ParseError("no_pages", f"{source.name} has no sheets: upload one that has")
            for number, sheet in enumerate(workbook.worksheets, start=1):
                sheet.reset_dimensions()  # what the file claims may be a lie of a million rows
                rows = ([_shown(value) for value in row] for row in sheet.iter_rows(values_only=True))
                _read_sheet(number, sheet.title, rows, manuscript)
            return len(workbook.worksheets)


def read_csv(source: Source, manuscript: Manuscript) -> int:
    """Fills in the rows; returns 0, for a CSV has no sheets."""
    text = decoded(source)
    csv.field_size_limit(CELL_MAX_CHARS)
    rows = csv.reader(io.StringIO(text, newline=""), _dialect(text[:SAMPLE_CHARS]))
    try:
        _read_rows(rows, manuscript)
    except csv.Error as error:
        raise ParseError(
            "broken", f"{source.name} is not valid CSV ({error}): check its quotes and upload it again"
        ) from error
    return 0


def _read_sheet(page: int, title: str, rows: Iterable[Row], manuscript: Manuscript) -> None:
    filled = (row for row in rows if any(row))
    first = next(filled, None)
    manuscript.page(page)
    if first is None:
        return
    manuscript.heading(SHEET_LEVEL, title)
    _read_rows(_chained(first, filled), manuscript)


def _read_rows(rows: Iterable[Row], manuscript: Manuscript) -> None:
    filled = (row for row in rows if any(cell.strip() for cell in row))
    first = next(filled, None)
    if first is None:
        return
    if _names_columns(first):
        manuscript.heading(COLUMNS_LEVEL, _line(first))
    else:
        manuscript.line(_line(first))
    for row in filled:
        manuscript.line(_line(row))


def _names_columns(row: Row) -> bool:
    """Whether a first row looks like column names: several, all filled, none a number, not too long to repeat."""
    return (
        len(row) > 1
        and all(cell.strip() and not _is_number(cell) for cell in row)
        and len(_line(row)) <= HEADING_MAX_CHARS
    )


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", ""))
    except ValueError:
        return False
    return True


def _line(row: Row) -> str:
    return CELL_SEPARATOR.join(cell.strip() for cell in row if cell.strip())


def _chained(first: Row, rest: Iterator[Row]) -> Iterator[Row]:
    yield first
    yield from rest


def _shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime) and value.time() == time():
        return value.date().isoformat()
    return str(value)


def _dialect(sample: str) -> type[csv.Dialect] | csv.Dialect:
    try:
        return csv.Sniffer().sniff(sample, DELIMITERS)
    except csv.Error:  # one column, or too few rows to tell
        return csv.excel
