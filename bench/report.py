"""Results as a table for people and as JSON for programs."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.quality import Quality


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement: the mesh, the bare engine in the same run, and how they compare."""

    name: str
    mesh: float
    engine: float | None  # None where there is nothing to compare with
    unit: str
    compared: float | None
    comparison: str  # what `compared` is, for example "of the embedder"


def show(rows: Sequence[Row]) -> None:
    """Prints a table."""
    table = Table("measurement", "mesh", "bare engine", "unit", "compared", title="what the mesh costs")
    for row in rows:
        table.add_row(
            row.name,
            _figure(row.mesh),
            _figure(row.engine),
            row.unit,
            f"{_figure(row.compared)} {row.comparison}",
        )
    Console().print(table)


def quality_row(name: str, found: Quality) -> Row:
    """Retrieval quality: nothing to compare with, but three figures."""
    recall = f"recall@1 {found.recall_1:.3f}, recall@5 {found.recall_5:.3f}"
    return Row(name, found.mrr_10, None, "MRR@10", None, recall)


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if value < 10 else f"{value:,.1f}"


def save(rows: Sequence[Row], file: Path) -> None:
    """Writes them as JSON."""
    file.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n", encoding="utf-8")
