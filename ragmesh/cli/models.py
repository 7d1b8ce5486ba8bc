"""`ragmesh models`."""

from collections.abc import Sequence

import typer
from rich.progress import Progress

from ragmesh.cli.printing import console, show_json, show_table
from ragmesh.cli.session import AsJson, DataDir, Embedder, MeshName, client, run, settings_for
from ragmesh.cli.trouble import Trouble, needing
from ragmesh.v1 import Model

app = typer.Typer(no_args_is_help=True, help="Builds and lists the models that the mesh uses.")


@app.command()
def build(data_dir: DataDir = None, embedder: Embedder = None) -> None:
    """Makes the embedded models from installed packages, once. `ragmesh up` does it by itself."""
    with needing("local"):
        from ragmesh.inference import build as building  # noqa: PLC0415 the other command goes without
        from ragmesh.inference.weights.e5 import UnreadableWeights  # noqa: PLC0415 likewise

    settings = settings_for(data_dir, embedder=embedder)
    try:
        with Progress(console=console(stderr=True)) as progress:
            bar = progress.add_task("models", total=1.0)
            path = building.build(
                settings, lambda step, share: progress.update(bar, description=step, completed=share)
            )
    except (building.MissingWeights, UnreadableWeights) as error:
        raise Trouble(str(error)) from None
    console().print(f"model repository: {path}", highlight=False, markup=False, soft_wrap=True)


@app.command("list")
def list_models(data_dir: DataDir = None, mesh: MeshName = None, json_: AsJson = False) -> None:
    """Lists the models of the running mesh."""

    async def work() -> Sequence[Model]:
        async with client(data_dir, mesh) as connected:
            return await connected.models()

    models = run(work())
    if json_:
        show_json(models)
        return
    show_models(models)


def show_models(models: Sequence[Model]) -> None:
    """Prints models with what they are for."""
    show_table(
        ("model", "version", "role", "state", "weights", "served"),
        ((each.name, each.version, each.role.name, each.state, each.weights, each.successes) for each in models),
    )
