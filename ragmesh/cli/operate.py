"""`ragmesh status`, `dead-letters`, `bench`."""

import importlib.util
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.markup import escape

from ragmesh.cli.models import show_models
from ragmesh.cli.printing import console, show_json, show_table
from ragmesh.cli.session import AsJson, DataDir, MeshName, client, run, settings_for
from ragmesh.cli.trouble import Trouble
from ragmesh.v1 import DeadLetter, DocumentState, Health, IngestStats, Mesh, Model, Stats

COLOURS = {Health.SERVING: "green", Health.NOT_SERVING: "yellow", Health.UNREACHABLE: "red"}


app = typer.Typer()
PASSING_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


@app.command()
def status(data_dir: DataDir = None, mesh: MeshName = None, json_: AsJson = False) -> None:
    """Shows what runs, how it does, and how many documents there are."""

    async def work() -> tuple[Mesh, Stats, Sequence[Model]]:
        async with client(data_dir, mesh) as connected:
            return await connected.mesh(), await connected.stats(), await connected.models()

    board, stats, models = run(work())
    if json_:
        show_json({"mesh": board, "stats": stats, "models": models})
        return
    _show_mesh(board)
    console().print()
    show_models(models)
    if stats.ingest:
        console().print(f"\n{_counted(stats.ingest)}", highlight=False)


@app.command()
def dead_letters(
    replay: Annotated[bool, typer.Option("--replay", help="queue them again")] = False,
    data_dir: DataDir = None,
    mesh: MeshName = None,
    json_: AsJson = False,
) -> None:
    """Lists documents that were given up, with the reason; --replay queues all of them again."""

    async def work() -> tuple[list[DeadLetter], int]:
        async with client(data_dir, mesh) as connected:
            letters = [letter async for letter in connected.dead_letters()]
            return letters, await connected.replay() if replay else 0

    letters, queued = run(work())
    if json_:
        show_json({"dead_letters": letters, "queued": queued})
        return
    rows = ((each.document_id, each.document_name, each.attempts, _reason(each)) for each in letters)
    show_table(("document", "name", "tries", "why"), rows)
    if replay:
        console().print(f"{queued} queued again", highlight=False)


def _reason(letter: DeadLetter) -> str:
    return escape(letter.error.message) if letter.error else ""


@app.command(context_settings=PASSING_ON, add_help_option=False)
def bench(context: typer.Context, data_dir: DataDir = None) -> None:
    """Measures the running mesh beside the bare engines."""
    if missing := [name for name in ("bench", "pytriton") if importlib.util.find_spec(name) is None]:
        raise Trouble(f"this command needs {missing[0]}, which is not installed: pip install 'ragmesh[bench]'")
    home = settings_for(data_dir).home
    os.execv(  # noqa: S606 the bench compares services, so it is a program above them and not part of this package
        sys.executable, [sys.executable, "-m", "bench", "--data-dir", str(home), *context.args]
    )


def _show_mesh(mesh: Mesh) -> None:
    instances = [
        (
            each.service,
            each.address,
            _health(each.health),
            each.requests,
            each.failures,
            f"{each.memory_bytes >> 20} MiB",
        )
        for each in mesh.instances
    ]
    backends = [(each.role, each.uri, _health(each.health), "", "", escape(each.detail)) for each in mesh.backends]
    show_table(("part", "where", "health", "calls", "failed", "memory"), [*instances, *backends])


def _counted(ingest: IngestStats) -> str:
    states = [f"{count.count} {DocumentState(count.state).name}" for count in ingest.documents if count.count]
    return f"documents: {', '.join(states) or 'none'}; {ingest.chunks} chunks"


def _health(health: Health) -> str:
    return f"[{COLOURS.get(health, 'dim')}]{health.name}[/]"
