"""`ragmesh up` and `ragmesh demo`."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import typer

from ragmesh.cli import documents, questions
from ragmesh.cli.session import DataDir, Trouble, console, run, settings_for
from ragmesh.client import Client
from ragmesh.inference import build
from ragmesh.inference.preflight import CannotStart, installation
from ragmesh.inference.weights.e5 import UnreadableWeights
from ragmesh.settings import Settings
from ragmesh.up.board import LiveBoard, PlainBoard
from ragmesh.up.mesh import Mesh, running, until_signalled
from ragmesh.up.plan import PortTaken, plan
from ragmesh.up.state import AlreadyRunning

Port = Annotated[
    int | None, typer.Option("--port", help="port of the edge; 0 takes a free one", show_default="8080")
]
Embedder = Annotated[
    str | None, typer.Option("--embedder", help="multilingual, or english: faster", show_default="multilingual")
]
Board = PlainBoard | LiveBoard

SAMPLES_COLLECTION = "samples"
SAMPLE_QUESTION = "How long before departure must a trip be approved?"


def register(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command()(up)
    app.command()(demo)


def up(data_dir: DataDir = None, port: Port = None, embedder: Embedder = None) -> None:
    """Starts the whole mesh on this machine, and keeps it up until Ctrl-C.

    Triton, Milvus Lite, the document, query and admin services, the ingestion worker and the HTTP edge, each a
    process of its own, restarted when it dies. Logs are in the data folder, under logs/.
    """
    settings = settings_for(data_dir, port=port, embedder=embedder)
    if console().is_terminal:
        with LiveBoard(console()) as board:
            run(_serve(settings, board, _nothing_more))
    else:
        run(_serve(settings, PlainBoard(console()), _nothing_more))


def demo(
    samples: Annotated[Path, typer.Argument(help="folder of documents to load on the first run")] = Path("samples"),
    data_dir: DataDir = None,
    port: Port = None,
) -> None:
    """Starts the mesh, loads sample documents on the first run, answers a question, and keeps serving."""
    if not samples.is_dir():
        raise Trouble(f"{samples} is not a folder")

    async def show(settings: Settings) -> None:
        async with Client(settings) as client:
            await documents.load_once(client, [samples], SAMPLES_COLLECTION)
            console().print(f"\n[bold]{SAMPLE_QUESTION}[/]\n")
            await questions.stream_answer(client, SAMPLE_QUESTION, SAMPLES_COLLECTION)

    run(_serve(settings_for(data_dir, port=port), PlainBoard(console()), show))


async def _nothing_more(_: Settings) -> None:
    pass


async def _serve(settings: Settings, board: Board, then: Callable[[Settings], Awaitable[None]]) -> None:
    """Builds the models where they are missing, runs the mesh, does something with it, and waits for Ctrl-C."""
    try:
        installation()
        await asyncio.to_thread(
            build.build, settings, lambda step, share: board.say(f"models {share:4.0%}: {step}")
        )
        planned = plan(settings)
        async with running(planned, board.changed) as mesh:
            await _until_stopped(mesh, board, then)
    except (AlreadyRunning, PortTaken, CannotStart, build.MissingWeights, UnreadableWeights) as error:
        raise Trouble(str(error)) from None
    board.say("stopped")


async def _until_stopped(mesh: Mesh, board: Board, then: Callable[[Settings], Awaitable[None]]) -> None:
    async def work() -> None:
        await mesh.ready()
        board.say(f"ready {mesh.plan.url}")
        await then(mesh.plan.settings)
        board.say(
            f"\nserving on {mesh.plan.url} (API: {mesh.plan.url}/docs)"
            f"\nlogs in {mesh.plan.settings.home}/logs; Ctrl-C stops everything"
        )

    working, stopping = asyncio.create_task(work()), asyncio.create_task(until_signalled())
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
            await stopping
    finally:
        working.cancel()
        stopping.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)
