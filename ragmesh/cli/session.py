"""What every command needs: the settings, a client, a way to run asynchronous code, and trouble told plainly."""

from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import typer
import uvloop
from pydantic import ValidationError

from ragmesh import settings as configuration
from ragmesh.client import Client
from ragmesh.errors import MeshError, Unavailable
from ragmesh.settings import Settings
from ragmesh.up import state

T = TypeVar("T")

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="folder of the mesh's data", envvar="RAGMESH_DATA_DIR", show_default=False),
]
Collection = Annotated[str, typer.Option("--collection", "-c", help="collection to use")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON, for scripts")]
Embedder = Annotated[
    Literal["multilingual", "english"] | None,
    typer.Option("--embedder", help="english is faster", show_default="multilingual"),
]


class Trouble(Exception):
    """Something that the person at the terminal can do something about."""


def settings_for(data_dir: Path | None, **changes: object) -> Settings:
    """The settings in effect, with what the command line changes (None for nothing). Raises Trouble."""
    try:
        settings = configuration.load()
    except ValidationError as error:
        raise Trouble(f"bad settings:\n{configuration.explain(error)}") from None
    given = {name: value for name, value in {"data_dir": data_dir, **changes}.items() if value is not None}
    return settings.model_copy(update=given)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Runs a command's asynchronous part. Raises Trouble for whatever the mesh refuses."""
    try:
        return uvloop.run(work)
    except Unavailable as error:
        raise Trouble(f"{error.message}\nIs it up? `ragmesh status` tells.") from None
    except MeshError as error:
        raise Trouble(error.message) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


@asynccontextmanager
async def client(data_dir: Path | None) -> AsyncIterator[Client]:
    """A client of the running mesh. Raises Trouble where none runs."""
    settings = settings_for(data_dir)
    if settings.profile == "embedded" and state.read(settings.home) is None:
        raise Trouble(f"no mesh runs on {settings.home}: start it with `ragmesh up`, in another terminal")
    async with Client(state.of_running_mesh(settings)) as connected:
        yield connected
