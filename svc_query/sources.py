"""What was found, as sources worth their tokens: neighbours are one source, and nothing is said twice.

Chunks that follow each other in a document share some text. Where several of them are found they become one source
with the text of all, from where the first begins to where the last ends. It stands in the place of its best chunk
and keeps that one's id: a citation opens there. Of two passages with the same words and numbers the better stays.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ragmesh.chunk import Chunk
from ragmesh.storage.vectors.port import Hit
from ragmesh.terms import numbers, terms

GAP_MAX = 8  # characters of white space between neighbours; more is something else
SAME_MIN = 0.9  # share of terms that two passages have in common, from which on one of them says it all


@dataclass(frozen=True, slots=True)
class Source:
    """A passage that an answer may rest on."""

    chunk: Chunk  # with its neighbours' text
    score: float
    found: Chunk  # the best of its chunks, as it was found

    @property
    def found_at(self) -> int:
        """Where the best of its chunks begins in its text."""
        return self.found.start - self.chunk.start


def as_sources(hits: Sequence[Hit]) -> list[Source]:
    """The hits, best first, with neighbours joined and repetitions left out."""
    return _without_repetitions(_joined(hits))


def _joined(hits: Sequence[Hit]) -> list[Source]:
    in_order = sorted(hits, key=lambda hit: _place(hit.chunk))
    runs: list[list[Hit]] = []
    for hit in in_order:
        if runs and _follows(hit.chunk, runs[-1][-1].chunk):
            runs[-1].append(hit)
        else:
            runs.append([hit])
    ranks = {hit.chunk.chunk_id: rank for rank, hit in enumerate(hits)}
    best = [min(run, key=lambda hit: ranks[hit.chunk.chunk_id]) for run in runs]
    sources = [Source(_one(hit.chunk, run), hit.score, hit.chunk) for hit, run in zip(best, runs, strict=True)]
    return sorted(sources, key=lambda source: ranks[source.chunk.chunk_id])


def _place(chunk: Chunk) -> tuple[str, int, int]:
    return chunk.document_id, chunk.generation, chunk.ordinal


def _follows(chunk: Chunk, other: Chunk) -> bool:
    """Whether a chunk goes on where the other ends, under the same headings of the same page."""
    document, generation, ordinal = _place(other)
    return (
        _place(chunk) == (document, generation, ordinal + 1)
        and (chunk.page, chunk.headings) == (other.page, other.headings)
        and other.start <= chunk.start <= other.end + GAP_MAX
        and chunk.end > other.end
        and all(len(each.text) == each.end - each.start for each in (chunk, other))
    )


def _one(best: Chunk, run: Sequence[Hit]) -> Chunk:
    """A run of neighbours as one passage, with the name of its best chunk."""
    chunks = [hit.chunk for hit in run]
    text, end = chunks[0].text, chunks[0].end
    for chunk in chunks[1:]:
        between = "\n" * max(0, chunk.start - end)
        text += between + chunk.text[max(0, end - chunk.start) :]
        end = chunk.end
    return replace(best, start=chunks[0].start, end=end, text=text)


@dataclass(frozen=True, slots=True)
class _Said:
    """What a passage says, as far as words tell."""

    terms: frozenset[str]
    numbers: frozenset[str]

    def repeats(self, other: "_Said") -> bool:
        """A list of prices and its next edition differ in numbers only, and are not the same."""
        either = self.terms | other.terms
        return self.numbers == other.numbers and len(self.terms & other.terms) >= SAME_MIN * max(1, len(either))


def _without_repetitions(sources: Iterable[Source]) -> list[Source]:
    kept: list[Source] = []
    said: list[_Said] = []
    for source in sources:
        says = _Said(terms(source.chunk.text), numbers(source.chunk.text))
        if any(says.repeats(other) for other in said):
            continue
        kept.append(source)
        said.append(says)
    return kept
