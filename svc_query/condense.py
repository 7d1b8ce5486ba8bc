"""A question of a conversation, made to stand alone before anything is searched for it.

>>> words("And in London?", [Turn(Speaker.USER, "How much may a hotel cost a night?")])
'How much may a hotel cost a night? And in London?'

`words` looks whether a question leans on what was said, and puts that before it: no model is asked, so it costs
nothing and leaves alone what stands alone. `by_model` lets the language model rewrite the question, which is better
where the model is good (docs/decisions/0012).
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from enum import StrEnum

from ragmesh.inference.port import LanguageModel, Message, Sampling
from ragmesh.terms import numbers, terms
from svc_query.sentences import cut
from svc_query.wording import wording_for

CARRIED_MAX = 2  # earlier questions that a question may lean on
REPLY_BYTES = 240  # of an answer, where a word like "he" may stand for somebody in it
QUERY_CHARS = 2048
REWRITTEN_TOKENS = 96
HISTORY_BYTES = 1500  # that the model reads to rewrite a question
FEW_TERMS = 1  # a question with no more of its own is about something that was said before

_OPENINGS = re.compile(
    r"\s*(?:and|but|or|so|then|also|plus|what about|how about|what if|ok(?:ay)?[, ]+(?:and|so|but))\b"
    r"|\s*(?:那么?|还有|另外|以及|然后|那如果|如果是)",
    re.IGNORECASE,
)
_CLOSINGS = re.compile(r"(?:\b(?:instead|too|as well|then)|呢)\s*[?？.。]*\s*\Z", re.IGNORECASE)
_THINGS = re.compile(
    r"\b(?:it|its|that|this|those|these|(?<!is )(?<!are )there|ones?|the (?:former|latter|same|other))\b"
    r"|[它其该此]|这[个些种样里]|那[个些种样里]|上述|前者|后者",
    re.IGNORECASE,
)
_PEOPLE = re.compile(r"\b(?:he|him|his|she|hers?|they|them|theirs?)\b|[他她]", re.IGNORECASE)


class Speaker(StrEnum):
    """Who says something."""

    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class Turn:
    """What was said in a conversation."""

    speaker: Speaker
    text: str


def words(question: str, history: Sequence[Turn]) -> str:
    """The question, with what it leans on before it; as it is where it leans on nothing."""
    carried = [*_carried(question, history)]
    return " ".join([*reversed(carried), question.strip()])[-QUERY_CHARS:] if carried else question


async def by_model(question: str, history: Sequence[Turn], llm: LanguageModel) -> str:
    """The question as the language model rewrites it; by its words, where the model says nothing.

    Raises what the model raises.
    """
    told = wording_for(question)
    said = "\n".join(f"{turn.speaker}: {' '.join(turn.text.split())}" for turn in history)
    recent = said.encode()[-HISTORY_BYTES:].decode(errors="ignore")
    asked = Message("user", told.rewrite.format(history=recent, question=question))
    async with aclosing(llm.generate([asked], Sampling(max_tokens=REWRITTEN_TOKENS, stop=("\n",)))) as pieces:
        text = "".join([piece.text async for piece in pieces])
    return text.strip()[:QUERY_CHARS] or words(question, history)


def leans(question: str) -> bool:
    """Whether a question can't be understood without what was said before it."""
    return bool(
        _OPENINGS.match(question)
        or _CLOSINGS.search(question)
        or _THINGS.search(question)
        or _PEOPLE.search(question)
        or len(terms(question) | numbers(question)) <= FEW_TERMS
    )


def _carried(question: str, history: Sequence[Turn]) -> Iterator[str]:
    """What a question leans on, the newest first: an answer that names people, and the questions before it."""
    if not history or not leans(question):
        return
    if _PEOPLE.search(question) and history[-1].speaker is Speaker.ASSISTANT:
        yield cut(" ".join(history[-1].text.split()), REPLY_BYTES)
    asked = [turn.text.strip() for turn in history if turn.speaker is Speaker.USER]
    for earlier in asked[: -CARRIED_MAX - 1 : -1]:
        yield earlier
        if not leans(earlier):
            return
