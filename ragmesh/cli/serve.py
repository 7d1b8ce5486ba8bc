"""`ragmesh up` and `ragmesh demo`."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ragmesh.cli import adding, questions
from ragmesh.cli.printing import console
from ragmesh.cli.session import DataDir, Embedder, Trouble, run, settings_for
from ragmesh.client import Client
from ragmesh.errors import InvalidArgument
from ragmesh.inference import build
from ragmesh.inference.manifest import BadManifest
from ragmesh.inference.preflight import CannotStart, installation, require_plain
from ragmesh.inference.sources import MissingWeights
from ragmesh.inference.weights.e5 import UnreadableWeights
from ragmesh.rpc.auth.exposure import Exposed, require_closed
from ragmesh.settings import Settings
from ragmesh.up import secret, servers
from ragmesh.up.board import LiveBoard, PlainBoard
from ragmesh.up.mesh import Mesh, running, when_asked_to_stop
from ragmesh.up.plan import BadReplicas, Plan, PortTaken, Replicas, plan
from ragmesh.up.state import AlreadyRunning, UnusableFolder, locked

Port = Annotated[
    int | None,
    typer.Option("--port", min=0, max=65535, help="port of the edge; 0 takes a free one", show_default="8080"),
]
Profile = Annotated[
    Literal["embedded", "mesh"] | None,
    typer.Option("--profile", help="mesh: on Consul, Kafka, PostgreSQL and Redis", show_default="embedded"),
]
REFUSALS = (
    AlreadyRunning,
    BadManifest,
    BadReplicas,
    CannotStart,
    Exposed,
    MissingWeights,
    PortTaken,
    UnreadableWeights,
    UnusableFolder,
)
Board = PlainBoard | LiveBoard
Then = Callable[[Settings], Awaitable[None]]  # what is done once the mesh is ready

OPEN = (
    "open: every program on this machine may read and change all documents; nothing else can reach it."
    " RAGMESH_AUTH=required asks for keys (docs/security.md)"
)
SAMPLES_COLLECTION = "samples"
SAMPLE_QUESTION = "How much may a hotel cost a night?"


app = typer.Typer()


@app.command()
def up(
    data_dir: DataDir = None,
    port: Port = None,
    embedder: Embedder = None,
    profile: Profile = None,
    replicas: Annotated[
        str, typer.Option("--replicas", help="instances of services, as query=2,worker=3", show_default="one each")
    ] = "",
) -> None:
    """Starts the whole mesh on this machine, and keeps it up until Ctrl-C.

    Triton, Milvus Lite, the document, query and admin services, the ingestion worker and the HTTP edge, each a
    process of its own, restarted when it dies. Logs are in the data folder, under logs/.

    With --profile mesh also Consul, Kafka, PostgreSQL and Redis, as in production; a server whose address is set
    (RAGMESH_DATABASE_URL, RAGMESH_EVENTS_URL, …) is used where it is.
    """
    settings = settings_for(data_dir, port=port, embedder=embedder, profile=profile)
    wanted = read_replicas(replicas)
    if console().is_terminal:
        with LiveBoard(console()) as board:
            _keep_up(settings, board, _nothing_more, wanted)
    else:
        _keep_up(settings, PlainBoard(console()), _nothing_more, wanted)


@app.command()
def demo(
    samples: Annotated[Path, typer.Argument(help="folder of documents to load on the first run")] = Path("samples"),
    data_dir: DataDir = None,
    port: Port = None,
) -> None:
    """Starts the mesh, loads sample documents on the first run, answers a question, and keeps serving."""
    if not samples.is_dir():
        raise InvalidArgument(f"{samples} is not a folder")

    async def show(settings: Settings) -> None:
        async with Client(settings) as client:
            await adding.load_once(client, [samples], SAMPLES_COLLECTION)
            console().print(f"\n[bold]{SAMPLE_QUESTION}[/]\n")
            await questions.print_streaming(client.answer(SAMPLE_QUESTION, collection=SAMPLES_COLLECTION))

    _keep_up(settings_for(data_dir, port=port), PlainBoard(console()), show)


async def _nothing_more(_: Settings) -> None:
    pass


def read_replicas(text: str) -> dict[str, int]:
    """Reads `query=2,worker=3`; a service may be called by its folder too, svc_query. Raises InvalidArgument."""
    pairs = [entry.strip().removeprefix("svc_").partition("=") for entry in text.split(",") if entry]
    if bad := [name for name, _, count in pairs if not count.isdecimal()]:
        raise InvalidArgument(f"--replicas: can't read {', '.join(bad)}: give numbers, as query=2,worker=3")
    names = [name for name, _, _ in pairs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidArgument(f"--replicas: {', '.join(twice)} is named twice: give one number for each service")
    return {name: int(count) for name, _, count in pairs}


def _keep_up(settings: Settings, board: Board, then: Then, replicas: Replicas | None = None) -> None:
    """Builds the models where they are missing, and runs the mesh until Ctrl-C. Raises Trouble."""
    try:
        installation()
        require_plain(settings.home, settings.models)
        with locked(settings.home):
            require_closed(settings, "host", settings.host)
            planned = plan(secret.ensured(settings), replicas)
            servers.install(settings, board.say)
            build.build(settings, lambda step, share: board.say(f"models {share:4.0%}: {step}"))
            run(_serve(planned, board, then))
    except REFUSALS as error:
        raise Trouble(str(error)) from None
    board.say("stopped")


async def _serve(planned: Plan, board: Board, then: Then) -> None:
    stop = when_asked_to_stop()
    async with running(planned, board.changed) as mesh:
        await first_of(stop.wait(), mesh.broken(), _work(mesh, board, then, stop))


async def _work(mesh: Mesh, board: Board, then: Then, stop: asyncio.Event) -> None:
    await mesh.ready()
    board.say(f"ready {mesh.plan.url}")
    if mesh.plan.settings.auth == "open":
        board.say(OPEN)
    await then(mesh.plan.settings)
    board.say(
        f"\nserving on {mesh.plan.url} (API: {mesh.plan.url}/docs)"
        f"\nlogs in {mesh.plan.settings.home}/logs; Ctrl-C stops everything"
    )
    await stop.wait()


async def first_of(*works: Coroutine[Any, Any, object]) -> None:
    """Waits for whichever ends first, raises what it raised, and cancels the others."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
