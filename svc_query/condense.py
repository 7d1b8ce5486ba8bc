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
from ragmesh.terms import HAN, numbers, terms
from svc_query.plain import plain
from svc_query.sentences import BYTES
from svc_query.wording import wording_for

CARRIED_MAX = 2  # earlier questions that a question may lean on
REPLY_BYTES = 240  # of an answer, where a word like "he" may stand for somebody in it
QUERY_CHARS = 2048
REWRITTEN_TOKENS = 96
HISTORY_BYTES = 1500  # that the model reads to rewrite a question
REPHRASED_BYTES = 1000  # a longer question needs no model to stand alone
FEW_WORDS = 1  # a question with no more of its own is about something that was said before
MANY_WORDS = 4  # a question with as many stands alone, however it begins or ends
MEANT_WORDS = 3  # a pronoun with as many before it stands for one of them

_OPENINGS = re.compile(
    r"\s*(?:and|but|or|so|then|also|plus|what about|how about|what if|ok(?:ay)?[, ]+(?:and|so|but))\b"
    r"|\s*(?:那么?|还有|另外|以及|然后|那如果|如果是)",
    re.IGNORECASE,
)
_CLOSINGS = re.compile(r"(?:\b(?:instead|too|as well|then)|呢)[\s?？.。]*\Z", re.IGNORECASE)
_THINGS = re.compile(
    r"\b(?:it|its|this|those|these|(?<!is )(?<!are )there|ones?|the (?:former|latter|same|other))\b"
    r"|\b(?:about|after|before|by|do|does|for|from|in|is|like|of|on|than|to|was|with) that\b|\bthat\s*(?:[?.,]|\Z)"
    r"|[它其该此]|这[个些种样里]|那[个些种样里]|上述|前者|后者",
    re.IGNORECASE,
)
_MARK = re.compile(r"\[\d{1,3}\]")
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
    """The question, with what it leans on before it; as it is where it leans on nothing, or leaves no room."""
    carried = " ".join(reversed([*_carried(question, history)]))
    room = QUERY_CHARS - len(question.strip()) - 1
    return f"{carried[-room:]} {question.strip()}" if carried and room > 0 else question


async def by_model(question: str, history: Sequence[Turn], llm: LanguageModel) -> str:
    """The question as the language model rewrites it. Raises what the model raises.

    A long question, and one to which the model says nothing, is taken by its words.
    """
    if BYTES.count(question) > REPHRASED_BYTES:
        return words(question, history)
    told = wording_for(question)
    said = "\n".join(f"{turn.speaker}: {' '.join(plain(turn.text).split())}" for turn in history)
    recent = said.encode()[-HISTORY_BYTES:].decode(errors="ignore")
    asked = Message("user", told.rewrite.format(history=recent, question=plain(question)))
    async with aclosing(llm.generate([asked], Sampling(max_tokens=REWRITTEN_TOKENS, stop=("\n",)))) as pieces:
        text = "".join([piece.text async for piece in pieces])
    return text.strip()[:QUERY_CHARS] or words(question, history)


def leans(question: str) -> bool:
    """Whether a question can't be understood without what was said before it."""
    own = _words_in(question)
    begins_or_ends_so = _OPENINGS.match(question) or _CLOSINGS.search(question)
    return (
        own <= FEW_WORDS
        or (bool(begins_or_ends_so) and own < MANY_WORDS)
        or _points_back(question, _THINGS)
        or _points_back(question, _PEOPLE)
    )


def _points_back(question: str, pronouns: re.Pattern[str]) -> bool:
    """Whether a pronoun stands for something outside of the question."""
    found = pronouns.search(question)
    return found is not None and _words_in(question[: found.start()]) < MEANT_WORDS


def _words_in(text: str) -> float:
    """How many words with a meaning a text has; a Chinese one is about two pairs of characters."""
    return sum(0.5 if HAN.match(term) else 1.0 for term in terms(text) | numbers(text))


def _carried(question: str, history: Sequence[Turn]) -> Iterator[str]:
    """What a question leans on, the newest first: an answer that names people, and the questions before it."""
    if not history or not leans(question):
        return
    if _points_back(question, _PEOPLE) and history[-1].speaker is Speaker.ASSISTANT:
        yield BYTES.cut(" ".join(_MARK.sub(" ", history[-1].text).split()), REPLY_BYTES)
    asked = [turn.text.strip() for turn in history if turn.speaker is Speaker.USER]
    for earlier in asked[: -CARRIED_MAX - 1 : -1]:
        yield earlier
        if not leans(earlier):
            return
