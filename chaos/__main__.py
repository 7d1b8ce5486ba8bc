"""`python -m chaos`."""

import random
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer
import uvloop

from chaos import faults, report
from chaos.disk import small_disk
from chaos.mesh import Mesh, running
from chaos.run import Goal, Outcome, Run
from ragmesh.inference import build
from ragmesh.settings import load

REPLICAS = "document=2,query=2,worker=2"
PAGE = Path("docs/reliability.md")

app = typer.Typer(add_completion=False)

Profile = Annotated[Literal["embedded", "mesh"], typer.Option(help="which servers the mesh stands on")]
Replicas = Annotated[str, typer.Option(help="instances of services, as `ragmesh up` takes them")]


@app.callback(invoke_without_command=True)
def run(
    context: typer.Context,
    profile: Profile = "mesh",
    replicas: Replicas = REPLICAS,
    documents: Annotated[int, typer.Option(help="at least so many are uploaded")] = 2000,
    searches: Annotated[int, typer.Option(help="at least so many are made")] = 20_000,
    seed: Annotated[int, typer.Option(help="of everything random in the load")] = 1,
    only: Annotated[str, typer.Option(help="faults whose name or target has this word")] = "",
    page: Annotated[Path, typer.Option(help="page that the table is written into")] = PAGE,
    keep: Annotated[
        Path | None, typer.Option(help="folder for data, logs and run.json; else a temporary one")
    ] = None,
) -> None:
    """Lets everything happen to a mesh under load, and writes what came of it. Ends with 1 for a broken promise."""
    if context.invoked_subcommand:
        return
    random.seed(seed)
    with _folder(keep) as folder:
        outcome = uvloop.run(_run(folder, profile, replicas, Goal(documents, searches), only))
        report.save(outcome, folder / "run.json")
    text = report.markdown(outcome)
    typer.echo(text)
    if not only:
        report.write(page, f"chaos on the {profile} profile", text)
    for violation in outcome.violations:
        typer.echo(f"{violation.wrong}: {violation.detail}")
    sys.exit(bool(outcome.violations))


async def _run(folder: Path, profile: str, replicas: str, goal: Goal, only: str) -> Outcome:
    with small_disk(folder / "disk") as disk:
        async with _mesh(folder, profile, replicas, disk) as mesh:
            everything = faults.every(mesh.processes(), disk)
            chosen = [fault for fault in everything if only in f"{fault.name} {fault.target}"]
            return await Run(mesh).play(chosen, goal)


@asynccontextmanager
async def _mesh(folder: Path, profile: str, replicas: str, disk: Path | None) -> AsyncIterator[Mesh]:
    models = build.build(load(), lambda step, share: typer.echo(f"models {share:4.0%}: {step}"))
    environment = {"RAGMESH_MODELS_DIR": str(models), "RAGMESH_LEASE_S": "5"}
    if disk:
        environment["RAGMESH_BLOBS_URL"] = f"file://{disk}/blobs"
    arguments = ("--profile", profile, "--replicas", replicas)
    async with running(folder / "data", *arguments, **environment) as mesh:
        yield mesh


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
