"""`ragmesh ls`, `rm`, `collections`."""

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Column

from ragmesh.cli.printing import show_json, show_table
from ragmesh.cli.session import AsJson, Collection, DataDir, client, run
from ragmesh.v1 import Collection as CollectionMessage
from ragmesh.v1 import Document


def register(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command()(ls)
    app.command()(rm)
    app.command("collections")(list_collections)


def ls(collection: Collection = "default", data_dir: DataDir = None, json_: AsJson = False) -> None:
    """Lists the documents of a collection, newest first."""

    async def work() -> list[Document]:
        async with client(data_dir) as connected:
            return [document async for document in connected.list(collection)]

    documents = run(work())
    if json_:
        show_json(documents)
        return
    show_table(
        (Column("id", no_wrap=True, min_width=36), "name", "state", "chunks", "pages", "bytes"),
        (
            (each.id, escape(each.name), each.state.name, each.chunk_count, each.page_count or "", each.size_bytes)
            for each in documents
        ),
    )


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


def list_collections(data_dir: DataDir = None, json_: AsJson = False) -> None:
    """Lists the collections."""

    async def work() -> list[CollectionMessage]:
        async with client(data_dir) as connected:
            return [collection async for collection in connected.collections()]

    collections = run(work())
    if json_:
        show_json(collections)
        return
    show_table(
        ("collection", "documents", "chunks"),
        ((each.name, each.document_count, each.chunk_count) for each in collections),
    )
