"""`ragmesh ls`, `rm`, `collections`."""

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Column

from ragmesh.cli.printing import console, show_json, show_table
from ragmesh.cli.session import AsJson, Collection, DataDir, MeshName, client, run
from ragmesh.errors import InvalidArgument, MeshError, NotFound
from ragmesh.v1 import Collection as CollectionMessage
from ragmesh.v1 import Document

app = typer.Typer()


@app.command()
def ls(
    collection: Collection = "default", data_dir: DataDir = None, mesh: MeshName = None, json_: AsJson = False
) -> None:
    """Lists the documents of a collection, newest first."""

    async def work() -> list[Document]:
        async with client(data_dir, mesh) as connected:
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


@app.command()
def rm(
    documents: Annotated[list[str], typer.Argument(help="ids, as `ragmesh ls` shows them")],
    data_dir: DataDir = None,
    mesh: MeshName = None,
    json_: AsJson = False,
) -> None:
    """Deletes documents: no later search finds them.

    One that is not there keeps none of the others from being deleted.
    """

    async def work() -> tuple[list[str], list[MeshError]]:
        deleted: list[str] = []
        refused: list[MeshError] = []
        async with client(data_dir, mesh) as connected:
            for document_id in documents:
                try:
                    await connected.delete(document_id)
                except (NotFound, InvalidArgument) as error:
                    refused.append(error)
                else:
                    deleted.append(document_id)
        return deleted, refused

    deleted, refused = run(work())
    if json_:
        show_json({"deleted": deleted})
    else:
        console().print(f"{len(deleted)} deleted", highlight=False)
    if refused:
        raise type(refused[0])("\n".join(error.message for error in refused))


@app.command("collections")
def list_collections(data_dir: DataDir = None, mesh: MeshName = None, json_: AsJson = False) -> None:
    """Lists the collections."""

    async def work() -> list[CollectionMessage]:
        async with client(data_dir, mesh) as connected:
            return [collection async for collection in connected.collections()]

    collections = run(work())
    if json_:
        show_json(collections)
        return
    show_table(
        ("collection", "documents", "chunks"),
        ((each.name, each.document_count, each.chunk_count) for each in collections),
    )
