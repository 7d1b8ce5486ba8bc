"""`ragmesh eval`."""

import asyncio
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Self

import typer
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ragmesh.cli.printing import console, show_json, show_table
from ragmesh.cli.questions import MODES, Mode
from ragmesh.cli.session import AsJson, Collection, DataDir, MeshName, client, run
from ragmesh.client import Client
from ragmesh.errors import InvalidArgument, MeshError
from ragmesh.quality import groundedness, mrr, rank_of, recall
from ragmesh.settings import explain
from ragmesh.v1 import Chunk, SearchMode

app = typer.Typer()

EXPECTED = "expected"  # stands in a ranking for whatever was expected


class Case(BaseModel):
    """A question, and what its answer should rest on: a document by name or id, a text, or a text in a document."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str = Field(min_length=1)
    document: str = ""
    text: str = ""

    @model_validator(mode="after")
    def _expects_something(self) -> Self:
        if not (self.document or self.text):
            raise ValueError("give what is expected: document, text, or both")
        return self

    def is_met_by(self, chunk: Chunk) -> bool:
        """Whether a passage is what was expected. Blanks and case of the text don't matter."""
        if self.document and self.document not in {chunk.document_name, chunk.document_id}:
            return False
        return _plain(self.text) in _plain(chunk.text)

    def rank_in(self, chunks: Sequence[Chunk]) -> int | None:
        """The place of what was expected among the documents that were found, or among passages for a text."""
        names = [
            EXPECTED if self.is_met_by(chunk) else chunk.chunk_id if self.text else chunk.document_id
            for chunk in chunks
        ]
        return rank_of(EXPECTED, names)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a question."""

    question: str
    rank: int | None = None
    grounded: float | None = None  # None where nothing was answered
    failure: str = ""


@app.command("eval")
def evaluate(
    file: Annotated[Path, typer.Argument(help="questions, a line of JSON each", exists=True, dir_okay=False)],
    collection: Collection = "default",
    depth: Annotated[int, typer.Option("--top-k", "-k", min=1, max=100, help="how many passages to look at")] = 10,
    mode: Mode = None,
    answers: Annotated[bool, typer.Option(help="answer too, and measure how grounded the answers are")] = True,
    at_once: Annotated[int, typer.Option("--at-once", min=1, max=64, help="questions at a time")] = 4,
    data_dir: DataDir = None,
    mesh: MeshName = None,
    json_: AsJson = False,
) -> None:
    """Measures search and answers with questions whose sources are known.

    Each line of the file has a question and what should be found: a document by its name or id, a text that stands
    in the passage, or both.

      {"question": "How much may a hotel cost?", "document": "travel.md", "text": "140 euros"}

    recall@k is the share of questions for which it is among the first k; MRR the mean of 1 / its place;
    groundedness the mean share of an answer's sentences that carry a mark whose passage supports them (docs/cli.md
    says when it does). Questions that fail count as not found, and make the exit code 1.
    """
    cases = read_cases(file)

    async def work() -> list[Outcome]:
        async with client(data_dir, mesh) as connected:
            asker = Asker(connected, collection, depth, MODES[mode], answers=answers)
            return await _measured(cases, asker, at_once)

    outcomes = run(work())
    summary = summarised(outcomes, depth)
    if json_:
        show_json({"summary": summary, "questions": [asdict(outcome) for outcome in outcomes]})
    else:
        _show(outcomes, summary)
    if any(outcome.failure for outcome in outcomes):
        raise typer.Exit(1)


def read_cases(file: Path) -> list[Case]:
    """The questions of a file. Raises InvalidArgument, naming the line."""
    cases: list[Case] = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            cases.append(Case.model_validate_json(line))
        except ValidationError as error:
            raise InvalidArgument(f"{file}, line {number}:\n{explain(error, prefix='')}") from None
    if not cases:
        raise InvalidArgument(f"{file} has no questions")
    return cases


@dataclass(frozen=True)
class Asker:
    """Asks a collection."""

    client: Client
    collection: str
    depth: int
    mode: SearchMode
    answers: bool

    async def ask(self, case: Case) -> Outcome:
        """Looks for what is expected, and has the question answered."""
        try:
            found = await self.client.search(
                case.question, collection=self.collection, top_k=self.depth, mode=self.mode
            )
            rank = case.rank_in([result.chunk for result in found.results if result.chunk])
            return Outcome(case.question, rank, await self._grounded(case) if self.answers else None)
        except MeshError as error:
            return Outcome(case.question, failure=error.message)

    async def _grounded(self, case: Case) -> float | None:
        answer = await self.client.ask(case.question, collection=self.collection, mode=self.mode)
        passages = {each.marker: each.chunk.text for each in answer.sources if each.chunk}
        return groundedness(case.question, answer.text, passages) if answer.sources else None


async def _measured(cases: Sequence[Case], asker: Asker, at_once: int) -> list[Outcome]:
    slots = asyncio.Semaphore(at_once)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as progress:
        bar = progress.add_task("questions", total=len(cases))

        async def one(case: Case) -> Outcome:
            async with slots:
                outcome = await asker.ask(case)
            progress.advance(bar)
            return outcome

        return await asyncio.gather(*map(one, cases))


def summarised(outcomes: Sequence[Outcome], depth: int) -> Mapping[str, float | int | None]:
    """The measures over all questions, by their names."""
    ranks = [outcome.rank for outcome in outcomes]
    grounded = [outcome.grounded for outcome in outcomes if outcome.grounded is not None]
    depths = sorted({1, min(5, depth), depth})
    return {
        "questions": len(outcomes),
        "failed": sum(bool(outcome.failure) for outcome in outcomes),
        **{f"recall@{each}": recall(ranks, each) for each in depths},
        f"mrr@{depth}": mrr(ranks, depth),
        "answered": len(grounded),
        "groundedness": statistics.fmean(grounded) if grounded else None,
    }


def _show(outcomes: Sequence[Outcome], summary: Mapping[str, float | int | None]) -> None:
    show_table(
        ("question", "found at", "grounded", ""),
        (
            (escape(each.question), each.rank or "-", _shown(each.grounded), f"[red]{escape(each.failure)}[/]")
            for each in outcomes
        ),
    )
    console().print()
    show_table(tuple(summary), [tuple(map(_shown, summary.values()))])


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
