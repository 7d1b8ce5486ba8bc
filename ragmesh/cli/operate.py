"""`ragmesh status`, `config`, `set`, `dead-letters`, `bench`."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Column

from ragmesh.cli.models import show_models
from ragmesh.cli.printing import console, show_json, show_table
from ragmesh.cli.session import AsJson, DataDir, client, run, settings_for
from ragmesh.settings import origins
from ragmesh.v1 import Config, DeadLetter, DocumentState, Health, IngestStats, Mesh, Model, Stats

COLOURS = {Health.SERVING: "green", Health.NOT_SERVING: "yellow", Health.UNREACHABLE: "red"}


def register(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command()(status)
    app.command()(config)
    app.command("set")(set_)
    app.command()(dead_letters)
    passing_on = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command(context_settings=passing_on, add_help_option=False)(bench)


def status(data_dir: DataDir = None, json_: AsJson = False) -> None:
    """Shows what runs, how it does, and how many documents there are."""

    async def work() -> tuple[Mesh, Stats, Sequence[Model]]:
        async with client(data_dir) as connected:
            return await connected.mesh(), await connected.stats(), await connected.models()

    mesh, stats, models = run(work())
    if json_:
        show_json({"mesh": mesh, "stats": stats, "models": models})
        return
    _show_mesh(mesh)
    console().print()
    show_models(models)
    if stats.ingest:
        console().print(f"\n{_counted(stats.ingest)}", highlight=False)


def config(data_dir: DataDir = None) -> None:
    """Shows every setting in effect, and where it came from. Secrets are hidden."""
    show_table(
        (Column("setting", no_wrap=True), "value", "from", "meaning"),
        (
            (origin.key, escape(origin.value), origin.source, escape(origin.description))
            for origin in origins(settings_for(data_dir))
        ),
    )


def set_(
    key: Annotated[str, typer.Argument(help="as `ragmesh config` shows it, for example RAGMESH_LOG_LEVEL")],
    value: Annotated[str, typer.Argument(help="empty ('') takes a change back")],
    data_dir: DataDir = None,
) -> None:
    """Changes a setting of the running mesh, in all of its processes at once."""

    async def work() -> Config:
        async with client(data_dir) as connected:
            return await connected.set_config(key, value)

    changed = {setting.key: setting for setting in run(work()).settings}[key.upper()]
    console().print(f"{changed.key} is {changed.value} ({changed.source})", markup=False, highlight=False)


def dead_letters(
    replay: Annotated[bool, typer.Option("--replay", help="queue them again")] = False, data_dir: DataDir = None
) -> None:
    """Lists documents that were given up, with the reason; --replay queues all of them again."""

    async def work() -> tuple[list[DeadLetter], int]:
        async with client(data_dir) as connected:
            letters = [letter async for letter in connected.dead_letters()]
            return letters, await connected.replay() if replay else 0

    letters, queued = run(work())
    rows = ((each.document_id, each.document_name, each.attempts, _reason(each)) for each in letters)
    show_table(("document", "name", "tries", "why"), rows)
    if replay:
        console().print(f"{queued} queued again", highlight=False)


def _reason(letter: DeadLetter) -> str:
    return escape(letter.error.message) if letter.error else ""


def bench(context: typer.Context, data_dir: DataDir = None) -> None:
    """Measures the running mesh beside the bare engines."""
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
