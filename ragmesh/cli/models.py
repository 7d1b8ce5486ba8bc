"""`ragmesh models`."""

from typing import Annotated

import typer
from rich.progress import Progress
from rich.table import Table

from ragmesh.cli.session import DataDir, Trouble, client, console, run, settings_for
from ragmesh.inference import build as building
from ragmesh.inference.weights.e5 import UnreadableWeights

app = typer.Typer(no_args_is_help=True, help="The models that the mesh uses.")


@app.command()
def build(
    data_dir: DataDir = None,
    embedder: Annotated[str | None, typer.Option(help="multilingual, or english", show_default=False)] = None,
) -> None:
    """Makes the embedded models from installed packages, once. `ragmesh up` does it by itself."""
    settings = settings_for(data_dir, embedder=embedder)
    try:
        with Progress(console=console(stderr=True)) as progress:
            bar = progress.add_task("models", total=1.0)
            path = building.build(
                settings, lambda step, share: progress.update(bar, description=step, completed=share)
            )
    except (building.MissingWeights, UnreadableWeights) as error:
        raise Trouble(str(error)) from None
    console().print(f"model repository: {path}", highlight=False)


@app.command("list")
def list_models(data_dir: DataDir = None) -> None:
    """Lists the models of the running mesh."""

    async def work() -> None:
        async with client(data_dir) as connected:
            table = Table("model", "version", "role", "state", "weights", "served", box=None, header_style="bold")
            for model in await connected.models():
                table.add_row(
                    model.name, model.version, model.role.name, model.state, model.weights, str(model.successes)
                )
            console().print(table)

    run(work())
