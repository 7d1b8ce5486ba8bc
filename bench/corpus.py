"""What is loaded and asked: XQuAD where its folder is named, else passages made from a seed."""

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SUBJECTS = (
    "invoice",
    "shipment",
    "account",
    "backup",
    "password",
    "contract",
    "server",
    "sensor",
    "vehicle",
    "warehouse",
    "ticket",
    "report",
)
VERBS = (
    "opens",
    "closes",
    "renews",
    "audits",
    "rejects",
    "archives",
    "signs",
    "forwards",
    "inspects",
    "releases",
    "replaces",
    "measures",
)
OWNERS = (
    "finance",
    "logistics",
    "security",
    "legal",
    "support",
    "engineering",
    "procurement",
    "facilities",
    "research",
    "sales",
)
PLACES = (
    "Lisbon",
    "Oslo",
    "Quito",
    "Nairobi",
    "Osaka",
    "Perth",
    "Tallinn",
    "Denver",
    "Porto",
    "Bergen",
    "Accra",
    "Turku",
)


@dataclass(frozen=True, slots=True)
class Passage:
    """A document of the bench."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Question:
    """A question, and the passage that answers it."""

    text: str
    passage_id: str
    answers: tuple[str, ...] = ()  # any of them is right; none where nobody wrote them down


@dataclass(frozen=True, slots=True)
class Corpus:
    """Passages and questions about them."""

    passages: tuple[Passage, ...]
    questions: tuple[Question, ...]


def xquad(folder: Path, language: str) -> Corpus:
    """Half of XQuAD in one language: 120 passages, 612 questions."""
    return Corpus(
        passages=tuple(Passage(row["id"], row["text"]) for row in _rows(folder / f"passages.{language}.jsonl")),
        questions=tuple(
            Question(row["question"], row["passage"], tuple(row["answers"]))
            for row in _rows(folder / f"questions.{language}.jsonl")
        ),
    )


def synthetic(passages: int = 120, questions: int = 600, seed: int = 7) -> Corpus:
    """Passages of about 120 words, each with facts of its own; the same for the same seed."""
    rng = random.Random(seed)  # noqa: S311 nothing secret
    facts = [[_fact(rng, number, line) for line in range(9)] for number in range(passages)]
    return Corpus(
        passages=tuple(
            Passage(f"handbook-{number}", " ".join(fact.sentence for fact in facts[number]))
            for number in range(passages)
        ),
        questions=tuple(
            Question(facts[n % passages][n // passages % 9].question, f"handbook-{n % passages}")
            for n in range(questions)
        ),
    )


@dataclass(frozen=True, slots=True)
class _Fact:
    sentence: str
    question: str


def _fact(rng: random.Random, passage: int, line: int) -> _Fact:
    code = f"{rng.choice('ABCDEFGH')}{passage}{line}{rng.randrange(100)}"
    subject, verb = rng.choice(SUBJECTS), rng.choice(VERBS)
    owner, place, days = rng.choice(OWNERS), rng.choice(PLACES), rng.randrange(2, 90)
    return _Fact(
        f"The {owner} team in {place} {verb} each {subject} of class {code} within {days} days.",
        f"Within how many days does the {owner} team in {place} handle a {subject} of class {code}?",
    )


def _rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
