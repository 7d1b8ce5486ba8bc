"""`ragmesh add`, `ls`, `rm`, `collections`."""

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from ragmesh.cli.session import AsJson, Collection, DataDir, Trouble, client, console, run
from ragmesh.client import Client
from ragmesh.errors import AlreadyExists, MeshError
from ragmesh.v1 import Document, DocumentState

UPLOADS = 4  # at once
SHARES = 100  # steps of a document's progress bar


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a file."""

    path: Path
    document: Document | None
    reason: str = ""  # why it is not searchable; empty when it is


def register(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command()(add)
    app.command()(ls)
    app.command()(rm)
    app.command("collections")(list_collections)


def add(
    paths: Annotated[list[Path], typer.Argument(help="files, and folders with everything below them")],
    collection: Collection = "default",
    data_dir: DataDir = None,
) -> None:
    """Loads files and folders, and waits until they can be searched.

    What is there already (the same bytes under the same name) is not loaded again: run it once more after an
    interruption, and it goes on where it was. PDF, DOCX, PPTX, XLSX, CSV, HTML, EPUB, Markdown and text are read.
    """
    files = list(_files(paths))
    if not files:
        raise Trouble("there are no files in what you named")

    async def work() -> list[Outcome]:
        async with client(data_dir) as connected:
            await ensure_collection(connected, collection)
            return await load(connected, files, collection)

    outcomes = run(work())
    if _report(outcomes):
        raise typer.Exit(1)


async def load_once(connected: Client, paths: Iterable[Path], collection: str) -> None:
    """Loads files into a collection where it has none yet."""
    await ensure_collection(connected, collection)
    if (await connected.collection(collection)).document_count == 0:
        _report(await load(connected, list(_files(paths)), collection))


async def ensure_collection(connected: Client, name: str) -> None:
    """Creates a collection unless it is there."""
    if name == "default":
        return
    try:
        await connected.create_collection(name)
    except AlreadyExists:
        return


async def load(connected: Client, files: Sequence[Path], collection: str) -> list[Outcome]:
    """Uploads files, a few at once, showing how far each has come."""
    slots = asyncio.Semaphore(UPLOADS)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console(stderr=True)) as progress:
        total = progress.add_task(f"[bold]{len(files)} files", total=len(files))

        async def one(path: Path) -> Outcome:
            async with slots:
                outcome = await _load_one(connected, path, collection, progress)
            progress.advance(total)
            return outcome

        return await asyncio.gather(*map(one, files))


async def _load_one(connected: Client, path: Path, collection: str, progress: Progress) -> Outcome:
    bar: TaskID = progress.add_task(path.name, total=SHARES)
    try:
        document = await connected.add(
            path,
            collection=collection,
            wait=True,
            watcher=lambda seen: progress.update(bar, completed=int(seen.progress * SHARES)),
        )
    except (MeshError, OSError) as error:
        return Outcome(path, None, str(error))
    finally:
        progress.remove_task(bar)
    if document.state is DocumentState.FAILED and document.error:
        return Outcome(path, document, document.error.message)
    return Outcome(path, document)


def _report(outcomes: Sequence[Outcome]) -> int:
    """Says what was loaded and what was not; returns how many were not."""
    failed = [outcome for outcome in outcomes if outcome.reason]
    chunks = sum(outcome.document.chunk_count for outcome in outcomes if outcome.document)
    console().print(f"{len(outcomes) - len(failed)} documents ready, {chunks} chunks", highlight=False)
    for outcome in failed:
        console(stderr=True).print(f"[red]not loaded[/] {outcome.path}: {outcome.reason}", highlight=False)
    return len(failed)


def _files(paths: Iterable[Path]) -> Iterable[Path]:
    for path in paths:
        if not path.exists():
            raise Trouble(f"{path} does not exist")
        if path.is_file():
            yield path
            continue
        yield from sorted(
            file
            for file in path.rglob("*")
            if file.is_file() and not any(part.startswith(".") for part in file.relative_to(path).parts)
        )


def ls(collection: Collection = "default", data_dir: DataDir = None, json_: AsJson = False) -> None:
    """Lists the documents of a collection, newest first."""

    async def work() -> list[Document]:
        async with client(data_dir) as connected:
            return [document async for document in connected.list(collection)]

    documents = run(work())
    if json_:
        print(json.dumps([document.to_dict() for document in documents], ensure_ascii=False))
        return
    table = Table("id", "name", "state", "chunks", "pages", "bytes", box=None, header_style="bold")
    for document in documents:
        table.add_row(
            document.id,
            document.name,
            document.state.name or "",
            str(document.chunk_count),
            str(document.page_count or ""),
            f"{document.size_bytes:,}",
        )
    console().print(table)


def rm(
    documents: Annotated[list[str], typer.Argument(help="ids, as `ragmesh ls` shows them")],
    data_dir: DataDir = None,
) -> None:
    """Deletes documents: no later search finds them."""

    async def work() -> None:
        async with client(data_dir) as connected:
            for document_id in documents:
                await connected.delete(document_id)

    run(work())


def list_collections(data_dir: DataDir = None) -> None:
    """Lists the collections."""

    async def work() -> None:
        async with client(data_dir) as connected:
            table = Table("collection", "documents", "chunks", box=None, header_style="bold")
            async for each in connected.collections():
                table.add_row(each.name, str(each.document_count), str(each.chunk_count))
            console().print(table)

    run(work())
