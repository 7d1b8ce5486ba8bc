"""`ragmesh add`."""

import asyncio
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from ragmesh.cli.printing import console, show_json
from ragmesh.cli.session import AsJson, Collection, DataDir, MeshName, client, run
from ragmesh.client import Client
from ragmesh.errors import AlreadyExists, MeshError, NotFound
from ragmesh.v1 import Document, DocumentState

UPLOADS = 4  # at once
SHARES = 100  # steps of a document's progress bar
UPLOAD_SHARES = 20  # those of its upload

Known = Mapping[tuple[str, str], Document]  # searchable documents by name and SHA-256


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a file."""

    path: Path
    document: Document | None = None
    was_there: bool = False
    reason: str = ""  # why it is not searchable; empty when it is

    def told(self) -> dict[str, object]:
        """For scripts."""
        return {
            "path": str(self.path),
            "document": self.document,
            "was_there": self.was_there,
            "reason": self.reason or None,
        }


app = typer.Typer()


@app.command()
def add(
    paths: Annotated[list[Path], typer.Argument(help="files, and folders with everything below them")],
    collection: Collection = "default",
    data_dir: DataDir = None,
    mesh: MeshName = None,
    json_: AsJson = False,
) -> None:
    """Loads files and folders, and waits until they can be searched.

    What is there already (the same bytes under the same name) is not sent again: run it once more after an
    interruption, and it goes on where it was. PDF, DOCX, PPTX, XLSX, CSV, HTML, EPUB, Markdown and text are read.
    What could not be read is listed at the end, and makes the exit code 1.

      ragmesh add handbook.pdf notes/
      ragmesh add contracts/ --collection legal
    """
    files = list(files_below(paths))
    if not files:
        raise NotFound("there are no files in what you named")

    async def work() -> list[Outcome]:
        async with client(data_dir, mesh) as connected:
            return await load(connected, files, collection)

    outcomes = run(work())
    if json_:
        show_json({"outcomes": [outcome.told() for outcome in outcomes]})
    else:
        _report(outcomes)
    if any(outcome.reason for outcome in outcomes):
        raise typer.Exit(1)


async def load_once(connected: Client, paths: Iterable[Path], collection: str) -> None:
    """Loads what a collection does not have yet, and tells of it when there was something."""
    outcomes = await load(connected, list(files_below(paths)), collection)
    if not all(outcome.was_there for outcome in outcomes):
        _report(outcomes)


async def load(connected: Client, files: Sequence[Path], collection: str) -> list[Outcome]:
    """Uploads files, a few at once, showing how far each has come."""
    await _ensure(connected, collection)
    known = {
        (document.name, document.sha256): document
        async for document in connected.list(collection, state=DocumentState.READY)
    }
    slots = asyncio.Semaphore(UPLOADS)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console(stderr=True)) as progress:
        total = progress.add_task(f"[bold]{len(files)} files", total=len(files))

        async def one(path: Path) -> Outcome:
            async with slots:
                outcome = await _load_one(connected, path, collection, known, progress)
            progress.advance(total)
            return outcome

        return await asyncio.gather(*map(one, files))


async def _ensure(connected: Client, collection: str) -> None:
    if collection == "default":
        return
    try:
        await connected.create_collection(collection)
    except AlreadyExists:
        return


async def _load_one(connected: Client, path: Path, collection: str, known: Known, progress: Progress) -> Outcome:
    bar: TaskID = progress.add_task(escape(path.name), total=SHARES)
    try:
        digest, size_bytes = await asyncio.to_thread(_measured, path)
        if document := known.get((path.name, digest)):
            return Outcome(path, document, was_there=True)
        document = await connected.add(
            path,
            collection=collection,
            wait=True,
            sent=lambda sent_bytes: progress.update(bar, completed=UPLOAD_SHARES * sent_bytes // size_bytes),
            watcher=lambda seen: progress.update(
                bar, completed=UPLOAD_SHARES + int(seen.progress * (SHARES - UPLOAD_SHARES))
            ),
        )
    except (MeshError, OSError) as error:
        return Outcome(path, reason=str(error))
    finally:
        progress.remove_task(bar)
    if document.state is DocumentState.READY:
        return Outcome(path, document)
    return Outcome(path, reason=document.error.message if document.error else "it was deleted meanwhile")


def _measured(path: Path) -> tuple[str, int]:
    """SHA-256 and size of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size


def _report(outcomes: Sequence[Outcome]) -> None:
    """Says what was loaded and what was not."""
    loaded = [outcome.document for outcome in outcomes if outcome.document]
    chunks = sum(document.chunk_count for document in loaded)
    there = sum(outcome.was_there for outcome in outcomes)
    already = f" ({there} of them were there already)" if there else ""
    console().print(f"{len(loaded)} documents ready{already}, {chunks} chunks", highlight=False)
    for outcome in outcomes:
        if outcome.reason:
            told = f"[red]not loaded[/] {escape(f'{outcome.path}: {outcome.reason}')}"
            console(stderr=True).print(told, highlight=False, soft_wrap=True)


def files_below(paths: Iterable[Path]) -> Iterator[Path]:
    """Files as they are, and those in folders, hidden ones left out. Raises NotFound for what does not exist."""
    for path in paths:
        if not path.exists():
            raise NotFound(f"{path} does not exist")
        if path.is_file():
            yield path
            continue
        yield from sorted(
            file
            for file in path.rglob("*")
            if file.is_file() and not any(part.startswith(".") for part in file.relative_to(path).parts)
        )
