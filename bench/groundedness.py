"""`python -m bench.groundedness`: whether answers are right, cite the right passage, and say where there is none.

Questions of XQuAD are put to a mesh of the bench's own, twice: to a collection with every passage, and to one from
which two passages of each article were removed, asking only about those. The rest of the article stays, so what is
found is about the same matter and does not answer.

Only every second article is asked about. The others are for whoever calibrates (`bench.refusals`).
"""

import asyncio
import json
import random
import re
import string
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Annotated, Any

import typer
import uvloop
from rich.console import Console
from rich.table import Table

from bench import corpus
from bench.corpus import Corpus, Question
from bench.edge import Edge
from bench.fleet import Make, started
from ragmesh import settings as configuration
from ragmesh.inference import build
from ragmesh.terms import HAN
from svc_query.wording import wording_for

XQUAD = Path("../shared/data/xquad")
LANGUAGES = ("en", "zh")
REMOVED = (1, 3)  # of the passages of each article, by their place in it
NOT_FOUND = "not_found"
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = re.compile(rf"[{re.escape(string.punctuation)}，。？！、；：“”‘’《》（）·—…]")


@dataclass(frozen=True, slots=True)
class Answered:
    """One question of the bench, and what came of it."""

    question: str
    gold: str  # the passage that answers it
    text: str
    finish_reason: str
    cited: tuple[str, ...]  # passages whose marks stand in the text, in order
    sources: tuple[str, ...]
    is_right: bool  # the text contains an answer
    is_right_alone: bool  # likewise without what the mesh quotes behind the model's words
    is_quoted_behind: bool
    first_token_ms: float
    prompt_tokens: int

    @property
    def is_refused(self) -> bool:
        return self.finish_reason == NOT_FOUND


@dataclass(frozen=True, slots=True)
class Figures:
    """What answers in one language come to; shares of the questions, 0 to 1."""

    answerable: int
    cites_gold: float  # the gold passage is among the cited
    cites_gold_first: float
    contains_answer: float
    contains_answer_alone: float  # without the quote behind the model's words
    quoted_behind: float
    refused_falsely: float
    removed: int
    refused_rightly: float
    first_token_ms: float  # p50, of what a model or nobody wrote alike
    prompt_tokens: float  # p50, where a model wrote


def figures(answerable: Sequence[Answered], removed: Sequence[Answered]) -> Figures:
    """The shares and medians of both kinds of questions."""
    return Figures(
        answerable=len(answerable),
        cites_gold=fmean(each.gold in each.cited for each in answerable),
        cites_gold_first=fmean(each.cited[:1] == (each.gold,) for each in answerable),
        contains_answer=fmean(each.is_right for each in answerable),
        contains_answer_alone=fmean(each.is_right_alone for each in answerable),
        quoted_behind=fmean(each.is_quoted_behind for each in answerable),
        refused_falsely=fmean(each.is_refused for each in answerable),
        removed=len(removed),
        refused_rightly=fmean(each.is_refused for each in removed),
        first_token_ms=median(each.first_token_ms for each in answerable),
        prompt_tokens=median([each.prompt_tokens for each in answerable if each.prompt_tokens] or [0]),
    )


def contains(text: str, answers: Sequence[str]) -> bool:
    """Whether a text has one of these answers, both normalised as by SQuAD; Han text by its characters."""
    said = normalised(text)
    return any(_has(said, normalised(answer)) for answer in answers)


def normalised(text: str) -> str:
    """Lower case, without punctuation, articles and needless space (Rajpurkar et al., "SQuAD", 2016)."""
    return " ".join(_ARTICLES.sub(" ", _PUNCTUATION.sub(" ", text.lower())).split())


def _has(text: str, answer: str) -> bool:
    if HAN.search(answer):
        return answer.replace(" ", "") in text.replace(" ", "")
    if HAN.search(text):
        return answer in text
    return f" {answer} " in f" {text} "


def split(loaded: Corpus, *, second: bool) -> tuple[list[Question], list[Question], Corpus]:
    """Questions about every second article, those of them whose passages are removed, and what remains.

    `second` chooses which half of the articles is asked about.
    """
    articles: dict[str, list[str]] = {}
    for passage in loaded.passages:
        articles.setdefault(passage.id.rpartition("-")[0], []).append(passage.id)
    removed = {ids[place] for ids in articles.values() for place in REMOVED if place < len(ids)}
    half = {passage_id for ids in list(articles.values())[int(second) :: 2] for passage_id in ids}
    asked = [question for question in loaded.questions if question.passage_id in half]
    remaining = tuple(passage for passage in loaded.passages if passage.id not in removed)
    return asked, [each for each in asked if each.passage_id in removed], Corpus(remaining, loaded.questions)


async def measure(
    edge: Edge, loaded: Corpus, language: str, *, most: int, seed: int, max_tokens: int
) -> list[list[Answered]]:
    """Answers to at most so many questions of either kind: answerable, and removed."""
    asked, unanswerable, remaining = split(loaded, second=True)
    found: list[list[Answered]] = []
    for name, kept, questions in (("whole", loaded, asked), ("removed", remaining, unanswerable)):
        collection = f"{name}-{language}"
        await edge.add_all(collection, kept.passages)
        chosen = random.Random(seed).sample(questions, min(most, len(questions)))  # noqa: S311 nothing secret
        found.append([await _ask(edge, collection, question, max_tokens) for question in chosen])
        await edge.remove(collection)
    return found


async def _ask(edge: Edge, collection: str, question: Question, max_tokens: int) -> Answered:
    streamed = await edge.answer(collection, question.text, max_tokens=max_tokens)
    own, quoted, _ = streamed.text.partition(wording_for(question.text).untraced)
    return Answered(
        question=question.text,
        gold=question.passage_id,
        text=streamed.text,
        finish_reason=streamed.done["finish_reason"],
        cited=_passages(streamed.done["citations"]),
        sources=_passages(streamed.sources),
        is_right=contains(streamed.text, question.answers),
        is_right_alone=contains(own, question.answers),
        is_quoted_behind=bool(quoted),
        first_token_ms=streamed.first_token_s * 1e3,
        prompt_tokens=streamed.prompt_tokens,
    )


def _passages(citations: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(citation["document_name"].removesuffix(".txt") for citation in citations)


def main(
    xquad: Annotated[Path, typer.Option(help="folder of XQuAD")] = XQUAD,
    questions: Annotated[int, typer.Option(help="at most so many of each kind in each language")] = 150,
    max_tokens: Annotated[int, typer.Option(help="longest answer")] = 64,
    seed: Annotated[int, typer.Option(help="chooses the questions")] = 7,
    json_file: Annotated[Path | None, typer.Option("--json", help="file to write figures and answers to")] = None,
) -> None:
    """Measures answers on a mesh of the bench's own, with the default models, one question at a time."""
    measured = uvloop.run(_measure(xquad, questions, max_tokens, seed))
    found = {language: figures(*answers) for language, answers in measured.items()}
    _show(found)
    if json_file:
        told = {
            language: {
                "figures": asdict(found[language]),
                "answers": [[asdict(each) for each in kind] for kind in answers],
            }
            for language, answers in measured.items()
        }
        json_file.write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


async def _measure(folder: Path, most: int, max_tokens: int, seed: int) -> dict[str, list[list[Answered]]]:
    models = await asyncio.to_thread(
        build.build, configuration.load(), lambda step, share: Console().print(f"models {share:4.0%}: {step}")
    )
    with tempfile.TemporaryDirectory() as home:
        async with started(Make("mesh"), models, Path(home)) as planned, Edge.of(planned.settings) as edge:
            return {
                language: await measure(
                    edge, corpus.xquad(folder, language), language, most=most, seed=seed, max_tokens=max_tokens
                )
                for language in LANGUAGES
            }


def _show(found: Mapping[str, Figures]) -> None:
    table = Table("figure", *found, title="answers on XQuAD")
    for name in Figures.__dataclass_fields__:
        table.add_row(name.replace("_", " "), *(f"{getattr(each, name):.3g}" for each in found.values()))
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
