"""`python -m chaos`."""

import logging
import random
import re
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import structlog
import typer
import uvloop

from chaos import faults, report, rolling
from chaos.disk import small_disk
from chaos.mesh import Mesh, running
from chaos.run import Goal, Outcome, Run
from ragmesh.inference import build
from ragmesh.settings import load

REPLICAS = "document=2,query=2,worker=2"
PAGE = Path("docs/reliability.md")

app = typer.Typer(add_completion=False)

Profile = Annotated[Literal["embedded", "mesh"], typer.Option(help="which servers the mesh stands on")]
Page = Annotated[Path, typer.Option(help="page that the table is written into")]
Replicas = Annotated[str, typer.Option(help="instances of services, as `ragmesh up` takes them")]


@app.callback(invoke_without_command=True)
def run(
    context: typer.Context,
    profile: Profile = "mesh",
    replicas: Replicas = REPLICAS,
    documents: Annotated[int, typer.Option(help="at least so many are uploaded")] = 2000,
    searches: Annotated[int, typer.Option(help="at least so many are made")] = 20_000,
    seed: Annotated[int, typer.Option(help="of everything random in the load")] = 1,
    only: Annotated[str, typer.Option(help="only faults whose name and target match this expression")] = "",
    page: Page = PAGE,
    keep: Annotated[
        Path | None, typer.Option(help="folder for data, logs and run.json; else a temporary one")
    ] = None,
) -> None:
    """Lets everything happen to a mesh under load, and writes what came of it. Ends with 1 for a broken promise."""
    if context.invoked_subcommand:
        return
    random.seed(seed)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))  # the SDK's own news
    with _folder(keep) as folder:
        outcome = uvloop.run(_run(folder, profile, replicas, Goal(documents, searches), only))
        report.save(outcome, folder / "run.json")
    text = report.markdown(outcome)
    typer.echo(text)
    if not only:
        report.write(page, "faults", text)
    for violation in outcome.violations:
        typer.echo(f"{violation.wrong}: {violation.detail}")
    sys.exit(bool(outcome.violations))


async def _run(folder: Path, profile: str, replicas: str, goal: Goal, only: str) -> Outcome:
    with small_disk(folder / "disk") as disk:
        environment = {**_models(), "RAGMESH_LEASE_S": "5"}
        if disk:
            environment["RAGMESH_BLOBS_URL"] = f"file://{disk}/blobs"
        arguments = ("--profile", profile, "--replicas", replicas)
        async with running(folder / "data", *arguments, **environment) as mesh:
            everything = faults.every(mesh.processes(), disk)
            chosen = [fault for fault in everything if re.search(only, f"{fault.name} {fault.target}")]
            return await Run(mesh, says=lambda episode: typer.echo(report.line(episode))).play(chosen, goal)


@app.command("rolling")
def roll(
    profile: Profile = "mesh", replicas: Replicas = REPLICAS, rate: float = rolling.RATE, page: Page = PAGE
) -> None:
    """Searches at a fixed rate while every instance of a replicated service is restarted, one after the other."""
    row = _measure(profile, replicas, lambda mesh: rolling.rolling_restart(mesh, rate=rate))
    report.write(page, "rolling restart", row)


@app.command()
def kill(
    profile: Profile = "mesh",
    replicas: Replicas = REPLICAS,
    name: str = "query-2",
    clients: int = rolling.CLIENTS,
    page: Page = PAGE,
) -> None:
    """Searches from many clients while one instance is killed."""
    row = _measure(profile, replicas, lambda mesh: rolling.killed(mesh, name, clients=clients))
    report.write(page, "killed instance", row)


def _measure(profile: str, replicas: str, measure: Callable[[Mesh], Awaitable[rolling.Measured]]) -> str:
    """The measurement, as a table."""

    async def measured() -> rolling.Measured:
        arguments = ("--profile", profile, "--replicas", replicas)
        with _folder(None) as folder:
            async with running(folder, *arguments, module="ragmesh.cli", **_models()) as mesh:
                return await measure(mesh)

    found = uvloop.run(measured())
    table = report.table([rolling.HEAD, found.row()])
    typer.echo(table)
    return table


def _models() -> dict[str, str]:
    models = build.build(load(), lambda step, share: typer.echo(f"models {share:4.0%}: {step}"))
    return {"RAGMESH_MODELS_DIR": str(models)}


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.absolute()
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


if __name__ == "__main__":
    app()
