"""What happens while an answer is made: sources, tokens, usage, done, in this order."""

from dataclasses import dataclass, field
from enum import StrEnum

from ragmesh.chunk import Chunk
from svc_query.timings import Timings


class FinishReason(StrEnum):
    """Why an answer ended."""

    STOP = "stop"  # complete, or met a stop text
    LENGTH = "length"  # reached its longest
    NOT_FOUND = "not_found"  # no source, so no model was asked


@dataclass(frozen=True, slots=True)
class Citation:
    """A passage that an answer may cite."""

    number: int  # from 1, in the order of the sources
    chunk: Chunk
    score: float

    @property
    def marker(self) -> str:
        """Stands in the text where the passage supports it."""
        return f"[{self.number}]"


@dataclass(frozen=True, slots=True)
class Sources:
    """The passages that the answer rests on; none when nothing was found."""

    citations: tuple[Citation, ...]
    query: str = ""  # what was searched for: the question, or what the conversation made of it


@dataclass(frozen=True, slots=True)
class Token:
    """Text to append."""

    text: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What the language model read and wrote, in tokens."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Done:
    """The end of an answer."""

    finish_reason: FinishReason
    citations: tuple[Citation, ...] = ()  # those whose markers stand in the text, in order of appearance
    timings: Timings = field(default_factory=Timings)
    model: str = ""  # name/version of the language model that wrote it; empty where none did


AnswerEvent = Sources | Token | Usage | Done
