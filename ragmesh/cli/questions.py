"""`ragmesh ask`, `search`, `suggest`."""

import json
from typing import Annotated

import typer

from ragmesh.cli.session import AsJson, Collection, DataDir, Trouble, client, console, run
from ragmesh.client import Client
from ragmesh.v1 import Chunk, Citation, SearchMode

TopK = Annotated[int | None, typer.Option("--top-k", "-k", help="passages to use")]
Mode = Annotated[str, typer.Option("--mode", help="hybrid, dense or sparse")]
EXCERPT = 200  # characters


def register(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command()(ask)
    app.command()(search)
    app.command()(suggest)


def ask(
    question: Annotated[str, typer.Argument(help="in quotes, in English or Chinese")],
    collection: Collection = "default",
    top_k: TopK = None,
    mode: Mode = "hybrid",
    data_dir: DataDir = None,
) -> None:
    """Answers a question, and shows the passages that the answer rests on."""

    async def work() -> None:
        async with client(data_dir) as connected:
            await stream_answer(connected, question, collection, top_k=top_k, mode=_mode(mode))

    run(work())


async def stream_answer(
    connected: Client,
    question: str,
    collection: str,
    *,
    top_k: int | None = None,
    mode: SearchMode = SearchMode.HYBRID,
) -> None:
    """Prints an answer as it is written, then its citations. Raises Trouble when it breaks off."""
    out = console()
    async for event in connected.answer(question, collection=collection, top_k=top_k, mode=mode):
        if event.token:
            out.print(event.token.text, end="", highlight=False, markup=False, soft_wrap=True)
        if event.error:
            raise Trouble(f"the answer broke off: {event.error.message}")
        if event.done:
            out.print("\n")
            for citation in event.done.citations:
                out.print(_cited(citation), highlight=False, markup=False)


def search(
    query: Annotated[str, typer.Argument(help="what to look for")],
    collection: Collection = "default",
    top_k: TopK = None,
    mode: Mode = "hybrid",
    data_dir: DataDir = None,
    json_: AsJson = False,
) -> None:
    """Shows the passages that fit best."""

    async def work() -> None:
        async with client(data_dir) as connected:
            found = await connected.search(query, collection=collection, top_k=top_k, mode=_mode(mode))
        if json_:
            print(json.dumps(found.to_dict(), ensure_ascii=False))
            return
        for result in found.results:
            if chunk := result.chunk:
                console().print(f"[bold]{result.score:.3f}[/]  {_place(chunk)}", highlight=False)
                console().print(f"       {_excerpt(chunk)}\n", highlight=False, markup=False)

    run(work())


def suggest(
    collection: Collection = "default",
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=10)] = 3,
    data_dir: DataDir = None,
) -> None:
    """Proposes questions that the documents can answer."""

    async def work() -> None:
        async with client(data_dir) as connected:
            for question in await connected.suggest(collection=collection, count=count):
                console().print(question, highlight=False, markup=False)

    run(work())


def _mode(name: str) -> SearchMode:
    modes = {"hybrid": SearchMode.HYBRID, "dense": SearchMode.DENSE, "sparse": SearchMode.SPARSE}
    if name not in modes:
        raise Trouble(f"--mode is {name!r}; it can be {', '.join(modes)}")
    return modes[name]


def _cited(citation: Citation) -> str:
    return f"  {citation.marker} {_place(citation.chunk)}: {_excerpt(citation.chunk)}" if citation.chunk else ""


def _place(chunk: Chunk) -> str:
    page = f", page {chunk.page}" if chunk.page else ""
    return f"{chunk.document_name}{page}"


def _excerpt(chunk: Chunk) -> str:
    text = " ".join(chunk.text.split())
    return text if len(text) <= EXCERPT else f"{text[:EXCERPT]}…"
