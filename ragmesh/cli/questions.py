"""`ragmesh ask`, `search`, `suggest`."""

from collections.abc import AsyncIterator
from typing import Annotated, Literal

import typer
from rich.markup import escape

from ragmesh.cli.printing import console, show_json
from ragmesh.cli.session import AsJson, Collection, DataDir, client, run
from ragmesh.v1 import AnswerEvent, Chunk, Citation, Done, SearchMode

TopK = Annotated[int | None, typer.Option("--top-k", "-k", help="passages to use")]
Mode = Annotated[
    Literal["hybrid", "dense", "sparse"],
    typer.Option("--mode", help="by meaning (dense), by words (sparse), or both"),
]
MODES = {"hybrid": SearchMode.HYBRID, "dense": SearchMode.DENSE, "sparse": SearchMode.SPARSE}
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
    json_: AsJson = False,
) -> None:
    """Answers a question, and shows the passages that the answer rests on.

    ragmesh ask "How long is data kept?"
    ragmesh ask "数据保存多久？" --collection policies
    """

    async def work() -> None:
        async with client(data_dir) as connected:
            events = connected.answer(question, collection=collection, top_k=top_k, mode=MODES[mode])
            await (print_whole(events) if json_ else print_streaming(events))

    run(work())


async def print_streaming(events: AsyncIterator[AnswerEvent]) -> None:
    """Prints an answer as it is written, then its citations. Raises Trouble when it breaks off."""
    out = console()
    async for event in events:
        if event.token:
            out.print(event.token.text, end="", highlight=False, markup=False, soft_wrap=True)
        if event.done:
            out.print("\n")
            for citation in event.done.citations:
                out.print(_cited(citation), highlight=False, markup=False)


async def print_whole(events: AsyncIterator[AnswerEvent]) -> None:
    """Prints an answer as JSON once it is complete. Raises Trouble when it breaks off."""
    text, usage, done = "", None, Done()
    async for event in events:
        text += event.token.text if event.token else ""
        usage = event.usage or usage
        done = event.done or done
    show_json(
        {
            "answer": text,
            "citations": done.citations,
            "usage": usage,
            "finish_reason": done.finish_reason,
            "timings": done.timings,
        }
    )


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
            found = await connected.search(query, collection=collection, top_k=top_k, mode=MODES[mode])
        if json_:
            show_json(found)
            return
        for result in found.results:
            if chunk := result.chunk:
                console().print(f"[bold]{result.score:.3f}[/]  {escape(_place(chunk))}", highlight=False)
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


def _cited(citation: Citation) -> str:
    return f"  {citation.marker} {_place(citation.chunk)}: {_excerpt(citation.chunk)}" if citation.chunk else ""


def _place(chunk: Chunk) -> str:
    page = f", page {chunk.page}" if chunk.page else ""
    return f"{chunk.document_name}{page}"


def _excerpt(chunk: Chunk) -> str:
    text = " ".join(chunk.text.split())
    return text if len(text) <= EXCERPT else f"{text[:EXCERPT]}…"
