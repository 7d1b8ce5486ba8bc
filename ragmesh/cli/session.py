"""What every command needs: the mesh that is meant, a client of it, and a way to run asynchronous code."""

from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import typer
import uvloop
from pydantic import ValidationError

from ragmesh import settings as configuration
from ragmesh.cli.trouble import Trouble
from ragmesh.client import Client, profiles
from ragmesh.client.profiles import LOCAL
from ragmesh.client.target import of_this_machine, settings_of
from ragmesh.errors import InvalidArgument, MeshError
from ragmesh.settings import Settings

__all__ = ["AsJson", "Collection", "DataDir", "Embedder", "MeshName", "Trouble", "client", "reached", "run"]

COMPLETED_WITHIN_S = 1.0  # a shell that waits for names of collections

T = TypeVar("T")


def complete_profiles(incomplete: str) -> list[str]:
    """The names of profiles that begin so, for a shell."""
    try:
        known = [LOCAL, *profiles.read().meshes]
    except MeshError:
        return []
    return [name for name in known if name.startswith(incomplete)]


def complete_collections(context: typer.Context, incomplete: str) -> list[str]:
    """The names of collections that begin so, for a shell: none where the mesh does not answer at once."""

    async def names() -> list[str]:
        async with client(context.params.get("data_dir"), context.params.get("mesh")) as connected:
            return [each.name async for each in connected.collections(timeout=COMPLETED_WITHIN_S)]

    try:
        return [name for name in run(names()) if name.startswith(incomplete)]
    except MeshError:
        return []


DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="folder of the mesh's data; RAGMESH_DATA_DIR", show_default=False),
]
MeshName = Annotated[
    str | None,
    typer.Option(
        "--mesh",
        "-m",
        help="profile of the mesh to use; RAGMESH_MESH",
        show_default=False,
        autocompletion=complete_profiles,
    ),
]
Collection = Annotated[
    str, typer.Option("--collection", "-c", help="collection to use", autocompletion=complete_collections)
]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON, for scripts")]
Embedder = Annotated[
    Literal["multilingual", "english"] | None,
    typer.Option("--embedder", help="english is faster", show_default="multilingual"),
]


def settings_for(data_dir: Path | None, **changes: object) -> Settings:
    """The settings in effect, with what the command line changes (None for nothing). Raises InvalidArgument."""
    try:
        settings = configuration.load()
    except ValidationError as error:
        raise InvalidArgument(f"bad settings:\n{configuration.explain(error)}") from None
    given = {name: value for name, value in {"data_dir": data_dir, **changes}.items() if value is not None}
    return settings.model_copy(update=given)


def reached(data_dir: Path | None, mesh: str | None = None) -> Settings:
    """The settings by which the mesh that is meant is reached. Raises InvalidArgument, NotFound, Unavailable."""
    if data_dir is None:
        return settings_of(None, profile=mesh)
    if mesh is not None:
        raise InvalidArgument("--mesh names a mesh and --data-dir another one: give one of them")
    return of_this_machine(settings_for(data_dir))


def run(work: Coroutine[Any, Any, T]) -> T:
    """Runs a command's asynchronous part."""
    try:
        return uvloop.run(work)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


@asynccontextmanager
async def client(data_dir: Path | None, mesh: str | None = None) -> AsyncIterator[Client]:
    """A client of the mesh that is meant."""
    async with Client(reached(data_dir, mesh)) as connected:
        yield connected
