"""Sentences of a text, and the stretch of them that says most about a question."""

import re
from collections.abc import Sequence
from itertools import accumulate
from typing import Protocol

from ragmesh.terms import terms

_SENTENCE = re.compile(r".+?(?:[。！？；]+[”’」』）]*|[.!?…]+[\"'”’)]*(?=\s)|\n+|\Z)\s*", re.DOTALL)


def sentences(text: str) -> list[str]:
    """Every sentence with the space after it: joined, they are the text."""
    return _SENTENCE.findall(text)


class Measure(Protocol):
    """What the size of a text is counted in."""

    def count(self, text: str) -> int: ...

    def cut(self, text: str, most: int) -> str:
        """The beginning of a text, as much as fits."""
        ...


class Bytes:
    """Bytes of UTF-8."""

    def count(self, text: str) -> int:
        return len(text.encode())

    def cut(self, text: str, most: int) -> str:
        return text.encode()[: max(0, most)].decode(errors="ignore")


BYTES = Bytes()


def excerpt(text: str, question: str, room: int, measure: Measure = BYTES, *, best_at: int = 0) -> str:
    """Whole neighbouring sentences, as many as fit, around the one with most of the question's words.

    Of several the first from `best_at` on is taken, as it is where no word tells: across languages. A sentence that
    is longer than the room is cut.
    """
    if measure.count(text) <= room:
        return text.strip()
    parts = sentences(text)
    asked = terms(question)
    weights = [len(asked & terms(part)) for part in parts]
    begins = list(accumulate(map(len, parts), initial=0))
    best = max(range(len(parts)), key=lambda i: (weights[i], begins[i] >= best_at, -i))
    first, last = _grow([measure.count(part) for part in parts], weights, room, best)
    return measure.cut("".join(parts[first : last + 1]).strip(), room)


def _grow(sizes: Sequence[int], weights: Sequence[int], room: int, best: int) -> tuple[int, int]:
    """The bounds of the stretch: from the best sentence towards the weightier neighbour that fits."""
    first = last = best
    room -= sizes[best]
    while True:
        fitting = [i for i in (first - 1, last + 1) if 0 <= i < len(sizes) and sizes[i] <= room]
        if not fitting:
            return first, last
        chosen = max(fitting, key=lambda i: (weights[i], i))
        room -= sizes[chosen]
        first, last = min(first, chosen), max(last, chosen)
