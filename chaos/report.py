"""What a run came to, as a table in a page for people and as JSON for programs."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from chaos.ledger import Wrong
from chaos.run import Episode, Outcome

BEGIN, END = "<!-- {name}: written by python -m chaos -->", "<!-- end of {name} -->"


def write(page: Path, name: str, text: str) -> None:
    """Puts the text between the page's markers of that name. Raises ValueError where it has none."""
    begin, end = BEGIN.format(name=name), END.format(name=name)
    before, opened, rest = page.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not opened or not closed:
        raise ValueError(f"{page} has no place for {name}: put {begin} and {end} into it")
    page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")


def save(outcome: Outcome, file: Path) -> None:
    """Writes everything as JSON."""
    file.write_text(json.dumps(asdict(outcome), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def markdown(outcome: Outcome) -> str:
    """Totals, then a row for each fault."""
    return f"{_totals(outcome)}\n\n{table(_rows(outcome.episodes))}"


def line(episode: Episode) -> str:
    """One fault, for whoever watches a run."""
    return " | ".join(_row(episode))


def table(rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; the first row is its head."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def _totals(outcome: Outcome) -> str:
    wrong = Counter(violation.wrong for violation in outcome.violations)
    lines = [
        "ledger: " + ", ".join(f"**{wrong[kind]}** {kind}" for kind in Wrong),
        f"{outcome.documents:,} documents accepted",
        f"{outcome.deletes:,} deletes, {outcome.reprocesses:,} times a document indexed anew",
        f"{outcome.searches:,} searches, {outcome.answers:,} answers",
        f"{outcome.tries - outcome.retried:,} calls in all, {outcome.retried:,} tries repeated",
        f"{sum(outcome.failed.values()):,} calls failed for good{_named(outcome.failed)}",
        f"{len(outcome.episodes)} faults in {outcome.seconds / 60:.1f} minutes",
        f"settled {outcome.settled_s:.1f} s after the load had ended",
        f"processes: {', '.join(outcome.processes)}",
    ]
    return "\n".join(f"- {line}" for line in lines)


def _named(errors: dict[str, int]) -> str:
    return f" ({_listed(errors)})" if errors else ""


def _listed(errors: dict[str, int]) -> str:
    return ", ".join(f"{count} × {kind}" for kind, count in errors.items())


def _rows(episodes: Sequence[Episode]) -> list[list[str]]:
    head = ["fault", "of", "lasted", "calls", "tries that failed", "failed for good", "recovery", "wrong"]
    return [head, *map(_row, episodes)]


def _row(episode: Episode) -> list[str]:
    recovery = "not in time" if episode.recovery_s is None else f"{episode.recovery_s:.1f} s"
    return [
        episode.fault,
        episode.target,
        f"{episode.lasted_s:.1f} s",
        str(episode.calls),
        _listed(episode.errors) or "none",
        _listed(episode.failed) or "none",
        recovery,
        str(episode.violations),
    ]
