"""`ragmesh status`, `config`, `bench`."""

import os
import sys

import typer
from rich.table import Table

from ragmesh.cli.session import DataDir, client, console, run, settings_for
from ragmesh.settings import origins
from ragmesh.v1 import DocumentState, Health

COLOURS = {Health.SERVING: "green", Health.NOT_SERVING: "yellow", Health.UNREACHABLE: "red"}


def register(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command()(status)
    app.command()(config)
    app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(bench)


def status(data_dir: DataDir = None) -> None:
    """Shows what runs, how it does, and how many documents there are."""

    async def work() -> None:
        async with client(data_dir) as connected:
            mesh, stats = await connected.mesh(), await connected.stats()
        table = Table("part", "where", "health", "calls", "failed", "memory", box=None, header_style="bold")
        for instance in mesh.instances:
            table.add_row(
                instance.service,
                instance.address,
                _health(instance.health),
                str(instance.requests),
                str(instance.failures),
                f"{instance.memory_bytes >> 20} MiB",
            )
        for backend in mesh.backends:
            table.add_row(backend.role, backend.uri, _health(backend.health), "", "", backend.detail)
        console().print(table)
        if stats.ingest:
            states = ", ".join(
                f"{count.count} {DocumentState(count.state).name}"
                for count in stats.ingest.documents
                if count.count
            )
            console().print(f"\ndocuments: {states or 'none'}; {stats.ingest.chunks} chunks", highlight=False)

    run(work())


def config(data_dir: DataDir = None) -> None:
    """Shows every setting in effect, and where it came from. Secrets are hidden."""
    table = Table("setting", "value", "from", "meaning", box=None, header_style="bold")
    for origin in origins(settings_for(data_dir)):
        table.add_row(origin.key, origin.value, origin.source, origin.description)
    console().print(table)


def bench(context: typer.Context, data_dir: DataDir = None) -> None:
    """Measures the running mesh beside the bare engines. `ragmesh bench --help` is told by the bench itself."""
    home = settings_for(data_dir).home
    os.execv(  # noqa: S606 the bench compares services, so it is a program above them and not part of this package
        sys.executable, [sys.executable, "-m", "bench", "--data-dir", str(home), *context.args]
    )


def _health(health: Health) -> str:
    return f"[{COLOURS.get(health, 'dim')}]{health.name}[/]"
