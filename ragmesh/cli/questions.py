"""`ragmesh ask`, `search`, `suggest`."""

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Annotated, Literal

import typer
from rich.markup import escape

from ragmesh.cli.printing import console, show_json
from ragmesh.cli.session import AsJson, Collection, DataDir, MeshName, client, run
from ragmesh.client import Answer
from ragmesh.v1 import AnswerEvent, Chunk, Citation, SearchMode

TopK = Annotated[int | None, typer.Option("--top-k", "-k", min=1, max=100, help="passages to use")]
Mode = Annotated[
    Literal["hybrid", "dense", "sparse"] | None,
    typer.Option(
        "--mode", help="by meaning (dense), by words (sparse), or both", show_default="as the mesh is set"
    ),
]
MODES = {
    None: SearchMode.UNSPECIFIED,
    "hybrid": SearchMode.HYBRID,
    "dense": SearchMode.DENSE,
    "sparse": SearchMode.SPARSE,
}
EXCERPT = 200  # characters


app = typer.Typer()


@app.command()
def ask(
    question: Annotated[str, typer.Argument(help="in quotes, in English or Chinese")],
    collection: Collection = "default",
    top_k: TopK = None,
    mode: Mode = None,
    data_dir: DataDir = None,
    mesh: MeshName = None,
    json_: AsJson = False,
) -> None:
    """Answers a question, and shows the passages that the answer rests on.

    ragmesh ask "How long is data kept?"
    ragmesh ask "数据保存多久？" --collection policies
    """

    async def work() -> None:
        async with client(data_dir, mesh) as connected:
            events = connected.answer(question, collection=collection, top_k=top_k, mode=MODES[mode])
            if json_:
                show_json(told(await Answer.of(events)))
            else:
                await print_streaming(events)

    run(work())


async def print_streaming(events: AsyncIterator[AnswerEvent]) -> None:
    """Prints an answer as it is written, then its citations."""
    out = console()
    async for event in events:
        if event.token:
            show_text(event.token.text)
        if event.done:
            out.print("\n")
            show_citations(event.done.citations)


def show_text(text: str) -> None:
    """Prints a piece of an answer."""
    console().print(text, end="", highlight=False, markup=False, soft_wrap=True)


def show_citations(citations: Iterable[Citation]) -> None:
    """Prints where each passage is, and how it begins."""
    for citation in citations:
        console().print(_cited(citation), highlight=False, markup=False)


def told(answer: Answer) -> dict[str, object]:
    """A whole answer for scripts, named as in the HTTP API."""
    return {
        "answer": answer.text,
        "citations": answer.citations,
        "usage": answer.usage,
        "finish_reason": answer.finish_reason,
        "timings": answer.timings,
    }


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="what to look for")],
    collection: Collection = "default",
    top_k: TopK = None,
    mode: Mode = None,
    data_dir: DataDir = None,
    mesh: MeshName = None,
    json_: AsJson = False,
) -> None:
    """Shows the passages that fit best."""

    async def work() -> None:
        async with client(data_dir, mesh) as connected:
            found = await connected.search(query, collection=collection, top_k=top_k, mode=MODES[mode])
        if json_:
            show_json(found)
            return
        for result in found.results:
            if chunk := result.chunk:
                console().print(f"[bold]{result.score:.3f}[/]  {escape(_place(chunk))}", highlight=False)
                console().print(f"       {_excerpt(chunk)}\n", highlight=False, markup=False)

    run(work())


@app.command()
def suggest(
    collection: Collection = "default",
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=10)] = 3,
    data_dir: DataDir = None,
    mesh: MeshName = None,
    json_: AsJson = False,
) -> None:
    """Proposes questions that the documents can answer."""

    async def work() -> Sequence[str]:
        async with client(data_dir, mesh) as connected:
            return await connected.suggest(collection=collection, count=count)

    questions = run(work())
    if json_:
        show_json(questions)
        return
    for question in questions:
        console().print(question, highlight=False, markup=False)


def _cited(citation: Citation) -> str:
    return f"  {citation.marker} {_place(citation.chunk)}: {_excerpt(citation.chunk)}" if citation.chunk else ""


def _place(chunk: Chunk) -> str:
    page = f", page {chunk.page}" if chunk.page else ""
    return f"{chunk.document_name}{page}"


def _excerpt(chunk: Chunk) -> str:
    text = " ".join(chunk.text.split())
    return text if len(text) <= EXCERPT else f"{text[:EXCERPT]}…"
