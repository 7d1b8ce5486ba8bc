"""`python -m bench.refusals`: what a threshold of `svc_query.enough` costs and brings, on XQuAD.

Questions are put to a collection with every passage, and to one from which the passages that answer were removed
(`bench.groundedness`). For each threshold it tells which share of either would be refused. A threshold is chosen by
the first half of the articles and judged by the second.
"""

import asyncio
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import typer
import uvloop
from rich.console import Console
from rich.table import Table

from bench import corpus
from bench.corpus import Corpus, Question
from bench.edge import Edge
from bench.fleet import Make, started
from bench.groundedness import LANGUAGES, XQUAD, split
from ragmesh import settings as configuration
from ragmesh.chunk import Chunk
from ragmesh.inference import build
from ragmesh.inference.port import ModelId
from svc_query.enough import Calibration, calibration_of, evidence

AT_ONCE = 8
PASSAGES = 4  # of an answer
REFUSED_FALSELY = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1)  # shares of the first half that thresholds are set by


@dataclass(frozen=True, slots=True)
class Refusals:
    """What a threshold refuses: shares of the questions, 0 to 1."""

    language: str
    least: float
    falsely: float  # of the first half, by which it was set
    rightly: float
    falsely_second: float  # of the other half
    rightly_second: float


@dataclass(frozen=True, slots=True)
class _Half:
    """Evidence for questions about half of the articles."""

    answerable: Sequence[float]
    removed: Sequence[float]

    def below(self, least: float) -> tuple[float, float]:
        return fmean(x < least for x in self.answerable), fmean(x < least for x in self.removed)


async def refusals(edge: Edge, loaded: Corpus, language: str, calibration: Calibration) -> list[Refusals]:
    """The trade-off in one language."""
    _, _, remaining = split(loaded, second=False)
    whole, removed = f"whole-{language}", f"removed-{language}"
    await edge.add_all(whole, loaded.passages)
    await edge.add_all(removed, remaining.passages)
    first, second = [
        _Half(
            await _evidence(edge, whole, asked, calibration),
            await _evidence(edge, removed, unanswerable, calibration),
        )
        for asked, unanswerable, _ in (split(loaded, second=False), split(loaded, second=True))
    ]
    thresholds = [*(sorted(first.answerable)[int(share * len(first.answerable))] for share in REFUSED_FALSELY)]
    return [
        Refusals(language, least, *first.below(least), *second.below(least))
        for least in sorted({*thresholds, calibration.least})
    ]


async def _evidence(
    edge: Edge, collection: str, questions: Sequence[Question], calibration: Calibration
) -> list[float]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def of(question: str) -> float:
        async with gate:
            (nearest,) = await edge.search(collection, question, top_k=1, mode="dense")
            found = await edge.search(collection, question, top_k=PASSAGES)
        return evidence(question, [_chunk(result) for result in found], nearest["score"], calibration)

    return await asyncio.gather(*(of(question.text) for question in questions))


def _chunk(result: dict[str, Any]) -> Chunk:
    """A passage with what words are looked for in."""
    told = ("document_id", "document_name", "page", "start", "end", "text")
    headings = tuple(result["headings"])
    return Chunk(
        "", generation=0, ordinal=0, content_type="", headings=headings, **{key: result[key] for key in told}
    )


def main(
    xquad: Annotated[Path, typer.Option(help="folder of XQuAD")] = XQUAD,
    json_file: Annotated[Path | None, typer.Option("--json", help="file to write the figures to")] = None,
) -> None:
    """Measures what refusing costs, on a mesh of the bench's own."""
    found = uvloop.run(_measure(xquad))
    table = Table("language", "threshold", "refused falsely", "rightly", "second half: falsely", "rightly")
    for each in found:
        table.add_row(
            each.language, f"{each.least:.2f}", *(f"{share:.3f}" for share in list(asdict(each).values())[2:])
        )
    Console().print(table)
    if json_file:
        json_file.write_text(json.dumps([asdict(each) for each in found], indent=1) + "\n", encoding="utf-8")


async def _measure(folder: Path) -> list[Refusals]:
    settings = configuration.load()
    models = await asyncio.to_thread(build.build, settings, lambda step, _: Console().print(step))
    embedder = ModelId.parse(settings.embedding).name
    found: list[Refusals] = []
    with tempfile.TemporaryDirectory() as home:
        async with started(Make("mesh"), models, Path(home)) as planned, Edge.of(planned.settings) as edge:
            for language in LANGUAGES:
                loaded = corpus.xquad(folder, language)
                if calibration := calibration_of(loaded.questions[0].text, embedder):
                    found += await refusals(edge, loaded, language, calibration)
    return found


if __name__ == "__main__":
    typer.run(main)
