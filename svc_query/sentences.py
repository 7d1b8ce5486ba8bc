"""Sentences of a text, and the stretch of them that says most about a question."""

import re
from collections.abc import Sequence

from ragmesh.terms import terms

_SENTENCE = re.compile(r".+?(?:[。！？；]+[”’」』）]*|[.!?…]+[\"'”’)]*(?=\s)|\n+|\Z)\s*", re.DOTALL)


def sentences(text: str) -> list[str]:
    """Every sentence with the space after it: joined, they are the text."""
    return _SENTENCE.findall(text)


def excerpt(text: str, question: str, room_bytes: int) -> str:
    """Whole neighbouring sentences, as many as fit, around the one with most of the question's words.

    A sentence that is longer than the room is cut.
    """
    if size(text) <= room_bytes:
        return text.strip()
    parts = sentences(text)
    asked = terms(question)
    weights = [len(asked & terms(part)) for part in parts]
    first, last = _grow(parts, weights, room_bytes)
    return cut("".join(parts[first : last + 1]).strip(), room_bytes)


def cut(text: str, room_bytes: int) -> str:
    """The beginning of a text, as much as fits."""
    return text.encode()[:room_bytes].decode(errors="ignore")


def size(text: str) -> int:
    """Bytes of UTF-8, which is what budgets count."""
    return len(text.encode())


def _grow(parts: Sequence[str], weights: Sequence[int], room_bytes: int) -> tuple[int, int]:
    """The bounds of the stretch: from the weightiest sentence towards the weightier neighbour that fits."""
    first = last = weights.index(max(weights))
    room = room_bytes - size(parts[first])
    while True:
        fitting = [i for i in (first - 1, last + 1) if 0 <= i < len(parts) and size(parts[i]) <= room]
        if not fitting:
            return first, last
        chosen = max(fitting, key=lambda i: (weights[i], i))
        room -= size(parts[chosen])
        first, last = min(first, chosen), max(last, chosen)
