"""Results as a table for people and as JSON for programs."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement: the mesh, the bare engine in the same run, and how they compare."""

    name: str
    mesh: float
    engine: float
    unit: str
    compared: float
    comparison: str  # what `compared` is, for example "ratio"


def show(rows: Sequence[Row]) -> None:
    """Prints a table."""
    table = Table("measurement", "mesh", "bare engine", "unit", "compared", title="what the mesh costs")
    for row in rows:
        table.add_row(
            row.name,
            f"{row.mesh:,.1f}",
            f"{row.engine:,.1f}",
            row.unit,
            f"{row.compared:.2f} {row.comparison}",
        )
    Console().print(table)


def save(rows: Sequence[Row], file: Path) -> None:
    """Writes them as JSON."""
    file.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n", encoding="utf-8")
