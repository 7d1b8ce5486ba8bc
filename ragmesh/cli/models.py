"""`ragmesh models`."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from ragmesh.cli.printing import console, show_json, show_table
from ragmesh.cli.session import AsJson, DataDir, Embedder, MeshName, client, run, settings_for
from ragmesh.cli.trouble import Trouble, needing
from ragmesh.v1 import Model, ModelRole, Reindex, ReindexState, VerifyModelResponse

app = typer.Typer(
    no_args_is_help=True,
    help="""Builds models, and changes those of a running mesh.

    A version is named NAME@VERSION, as in e5-small@1. A new one comes to use like this:

    ragmesh models build, then verify, then promote, and if it was a mistake, rollback.""",
)

Named = Annotated[str, typer.Argument(metavar="NAME[@VERSION]", help="the newest version where none is named")]
LOOK_EVERY_S = 1.0
ROLES = {"embed": ModelRole.EMBED, "rerank": ModelRole.RERANK, "llm": ModelRole.LLM}
FRACTION = 3  # digits of a figure


@app.command()
def build(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME@VERSION]...", help="which", show_default="those in use, and your own"),
    ] = None,
    manifest: Annotated[Path | None, typer.Option("--manifest", help="manifest of your own models")] = None,
    data_dir: DataDir = None,
    embedder: Embedder = None,
) -> None:
    """Makes models from what the manifest names, each once. `ragmesh up` does it by itself for those in use.

    A model that is built beside a running mesh is not used before it is promoted.
    """
    with needing("local"):
        from ragmesh.inference import build as building  # noqa: PLC0415 the other commands go without
        from ragmesh.inference.manifest import BadManifest  # noqa: PLC0415 likewise
        from ragmesh.inference.port import ModelId  # noqa: PLC0415 likewise
        from ragmesh.inference.sources import MissingWeights  # noqa: PLC0415 likewise
        from ragmesh.inference.weights.e5 import UnreadableWeights  # noqa: PLC0415 likewise

    settings = settings_for(data_dir, embedder=embedder, models_manifest=manifest)
    try:
        with Progress(console=console(stderr=True)) as progress:
            bar = progress.add_task("models", total=1.0)
            path = building.build(
                settings,
                lambda step, share: progress.update(bar, description=step, completed=share),
                map(ModelId.parse, models or ()),
            )
    except (BadManifest, MissingWeights, UnreadableWeights) as error:
        raise Trouble(str(error)) from None
    console().print(f"model repository: {path}", highlight=False, markup=False, soft_wrap=True)


@app.command("list")
def list_models(data_dir: DataDir = None, mesh: MeshName = None, json_: AsJson = False) -> None:
    """Lists the versions in the running mesh's repository, and what goes to them."""

    async def work() -> Sequence[Model]:
        async with client(data_dir, mesh) as connected:
            return await connected.models()

    _show(run(work()), as_json=json_)


@app.command()
def load(model: Named, data_dir: DataDir = None, mesh: MeshName = None, json_: AsJson = False) -> None:
    """Loads a version, without sending it any requests."""

    async def work() -> Model:
        async with client(data_dir, mesh) as connected:
            return await connected.load_model(model)

    _show([run(work())], as_json=json_)


@app.command()
def unload(model: Named, data_dir: DataDir = None, mesh: MeshName = None) -> None:
    """Unloads a version that no request goes to."""

    async def work() -> None:
        async with client(data_dir, mesh) as connected:
            await connected.unload_model(model)

    run(work())


@app.command()
def verify(model: Named, data_dir: DataDir = None, mesh: MeshName = None, json_: AsJson = False) -> None:
    """Puts golden questions to a version, beside the one in use. Fails where it does not pass."""

    async def work() -> VerifyModelResponse:
        async with client(data_dir, mesh) as connected:
            return await connected.verify_model(model)

    verdict = run(work())
    if json_:
        show_json(verdict)
    else:
        show_table(
            ("figure", "this version", "in use", "limit"),
            (
                (each.name, round(each.value, FRACTION), _figure(each.present), round(each.limit, FRACTION))
                for each in verdict.measures
            ),
        )
    if not verdict.passed:
        raise Trouble(f"{model} does not pass: {verdict.reason}")


@app.command()
def promote(
    model: Named,
    percent: Annotated[
        int | None,
        typer.Option("--percent", min=1, max=100, help="share of the answers that it gets at first (llm only)"),
    ] = None,
    data_dir: DataDir = None,
    mesh: MeshName = None,
    json_: AsJson = False,
) -> None:
    """Puts a version to use, once it has passed its golden questions; nobody's request is dropped.

    With --percent it gets a share of the answers, and is taken back by itself where it fails or is slow. For an
    embedding model all documents need its vectors first: `ragmesh models reindex`.
    """

    async def work() -> Model:
        async with client(data_dir, mesh) as connected:
            return await connected.promote_model(model, percent=percent)

    _show([run(work())], as_json=json_)


@app.command()
def rollback(
    role: Annotated[str, typer.Argument(help="embed, rerank or llm")],
    data_dir: DataDir = None,
    mesh: MeshName = None,
    json_: AsJson = False,
) -> None:
    """Ends the trial of a version, or goes back to the one that was used before."""
    if role not in ROLES:
        raise typer.BadParameter(f"{role!r} is no role: embed, rerank or llm", param_hint="ROLE")

    async def work() -> Model:
        async with client(data_dir, mesh) as connected:
            return await connected.roll_back_model(ROLES[role])

    _show([run(work())], as_json=json_)


@app.command()
def reindex(
    model: Named,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="until searches have gone over")] = True,
    data_dir: DataDir = None,
    mesh: MeshName = None,
    json_: AsJson = False,
) -> None:
    """Embeds all documents with another model, beside the vectors in use; then searches go over to it at once.

    It yields to questions, and goes on where it was after a crash. Interrupting this command does not stop it.
    """

    async def work() -> Reindex:
        async with client(data_dir, mesh) as connected:
            begun = await connected.start_reindex(model)
            if not wait:
                return begun
            with Progress(console=console(stderr=True)) as progress:
                bar = progress.add_task(begun.id, total=None)
                while True:
                    await asyncio.sleep(LOOK_EVERY_S)
                    found = await connected.reindex(begun.id)
                    progress.update(bar, completed=found.chunks_done, total=found.chunks_total or None)
                    if found.state in (ReindexState.ACTIVE, ReindexState.FAILED):
                        return found

    found = run(work())
    if json_:
        show_json(found)
    if found.state is ReindexState.FAILED:
        raise Trouble(f"{found.id} was not put to use: {found.reason}")
    if not json_:
        told = "searches use it" if found.state is ReindexState.ACTIVE else "documents are being embedded"
        console().print(f"{found.id}: {told}", highlight=False, markup=False)


@app.command("drop-index")
def drop_index(model: Named, data_dir: DataDir = None, mesh: MeshName = None) -> None:
    """Stops keeping the vectors of a model that is not in use, and deletes them."""

    async def work() -> None:
        async with client(data_dir, mesh) as connected:
            await connected.drop_index(model)

    run(work())


def _show(models: Sequence[Model], *, as_json: bool) -> None:
    if as_json:
        show_json(models)
    else:
        show_models(models)


def show_models(models: Sequence[Model]) -> None:
    """Prints models with what they are for."""
    show_table(
        ("model", "role", "state", "share", "weights", "served", "why"),
        (
            (
                f"{each.name}@{each.version}",
                each.role.name,
                each.state,
                f"{each.percent} %" if each.percent else "",
                each.weights,
                each.successes,
                each.reason,
            )
            for each in models
        ),
    )


def _figure(value: float | None) -> object:
    return "" if value is None else round(value, FRACTION)
