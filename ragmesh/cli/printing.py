"""How commands print: tables for people, JSON for scripts."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Any, cast

from betterproto2 import Casing, Message, OutputFormat
from rich.table import Column, Table

from ragmesh.cli.terminal import console

__all__ = ["console", "show_json", "show_table"]


def show_table(columns: Sequence[str | Column], rows: Iterable[Sequence[object]]) -> None:
    """Prints rows, whose cells may have rich's markup."""
    table = Table(*columns, box=None, header_style="bold")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    console().print(table, highlight=False)


def show_json(value: Message | Sequence[object] | Mapping[str, Any]) -> None:
    """Prints messages as one line of JSON, named as in the HTTP API."""
    print(json.dumps(_plain(value), ensure_ascii=False))


def _plain(value: object) -> object:
    if isinstance(value, Message):
        return _plain(
            value.to_dict(output_format=OutputFormat.PYTHON, casing=Casing.SNAKE, include_default_values=True)
        )
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in cast("dict[str, object]", value).items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in cast("Sequence[object]", value)]
    if isinstance(value, Enum):
        return value.name
    return value.isoformat() if isinstance(value, datetime) else value
