"""A document cut into passages that an embedder can take whole.

    cut(document, tokenizer, Measure(tokens=256, overlap=32)).chunks[0].text

Passages are measured in the embedder's tokens. They never cross a page, and cross a heading of the same or a higher
level only where too little stands before it or after it. They end with a paragraph, a sentence, a line, a clause or
a word, in this order of liking, and inside a word only where there is nothing else. Neighbours share some text.
"""

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from operator import attrgetter
from typing import Protocol
from unicodedata import combining

from svc_document.parse.document import ParsedDocument, Section

TINY_SHARE = 4  # less than a quarter of the measure is too little to stand alone
UNIT_MAX_CHARS = 16  # count as a token at least, so that a passage is short in characters too
SLICE_CHARS = 50_000  # go to the tokenizer at a time
LOOK_AHEAD_CHARS = 4  # no pattern below sees farther, which keeps the search linear

_PARAGRAPH = re.compile(r"\n\n")
_SENTENCE = re.compile(
    r"[。！？；…][”’」』）》]{0,2}(?![。！？；…”’」』）》])"
    r"|(?<=[.!?])(?<!\b(?:Mr|Ms|Dr|St|vs)\.)(?<!\b(?:Mrs|Fig|e\.g|i\.e)\.)(?<!\b[A-Z]\.)"
    r"[\"'”’)\]]{0,2}\s(?![a-z])"
)
_LINE = re.compile(r"\n")
_CLAUSE = re.compile(r"[，、：]|(?<=[,;:])\s")
_WORD = re.compile(r"\s")
_ENDS = (_PARAGRAPH, _SENTENCE, _LINE, _CLAUSE, _WORD)  # of a passage, best first
_RESUMPTIONS = (_SENTENCE, _LINE, _CLAUSE, _WORD)  # where an overlap may begin, best first
_JOINER = "\u200d"
_MODIFIERS = re.compile("[\ufe00-\ufe0f\U0001f3fb-\U0001f3ff]")


class Tokenizer(Protocol):
    """The embedder's measure, as `ragmesh.inference.tokens.Tokenizer` knows it."""

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Start and end of each token, in code points."""
        ...

    def count(self, text: str) -> int:
        """How many tokens a text has."""
        ...


@dataclass(frozen=True, slots=True)
class Measure:
    """How long passages are."""

    tokens: int  # of a passage at most
    overlap: int  # tokens that neighbours share at most, up to half of `tokens`

    @property
    def tiny(self) -> int:
        """What is shorter than this joins its neighbour."""
        return self.tokens // TINY_SHARE


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of a document's text: `text[start:end]`, in code points."""

    page: int  # from 1; 0 where the format has no pages
    start: int
    end: int
    text: str
    headings: tuple[str, ...]  # above it, outermost first; not those in it


@dataclass(frozen=True, slots=True)
class ChunkedDocument:
    """What ingestion keeps of a document."""

    content_type: str
    page_count: int
    text_chars: int
    chunks: tuple[Passage, ...]


def cut(document: ParsedDocument, tokenizer: Tokenizer, measure: Measure) -> ChunkedDocument:
    """Cuts a document. Its passages, in order, hold every character but white space."""
    ruler = Ruler(document.text, tokenizer)
    passages = (
        _passage(document.text, run, start, end)
        for run in _runs(document.sections, ruler, measure)
        for start, end in _Cutter(ruler, measure, run.end).spans(run.start)
    )
    return ChunkedDocument(document.content_type, document.page_count, len(document.text), tuple(passages))


class Ruler:
    """A text with its tokens marked: measures any stretch of it without tokenising again."""

    def __init__(self, text: str, tokenizer: Tokenizer) -> None:
        self.text = text
        self._tokenizer = tokenizer
        self._starts = array("L", _no_wide_gaps(accumulate(_token_starts(text, tokenizer), max), len(text)))

    def tokens(self, start: int, end: int) -> int:
        """How many tokens begin in a stretch; cut out, it may have a few more or fewer."""
        return bisect_left(self._starts, end) - bisect_left(self._starts, start)

    def exact(self, start: int, end: int) -> int:
        """How many tokens a stretch has when it is cut out."""
        return self._tokenizer.count(self.text[start:end].strip())

    def ahead(self, start: int, tokens: int) -> int:
        """The farthest end of a stretch of so many tokens."""
        index = bisect_left(self._starts, start) + tokens
        return self._starts[index] if index < len(self._starts) else len(self.text)

    def back(self, end: int, tokens: int) -> int:
        """The farthest start of a stretch of so many tokens."""
        return self._starts[max(0, bisect_left(self._starts, end) - tokens)]


@dataclass(frozen=True, slots=True)
class _Run:
    """Sections of one page that may share a passage."""

    sections: tuple[Section, ...]

    @property
    def start(self) -> int:
        return self.sections[0].start

    @property
    def end(self) -> int:
        return self.sections[-1].end

    def with_(self, sections: Iterable[Section]) -> "_Run":
        return _Run((*self.sections, *sections))


def _runs(sections: Iterable[Section], ruler: Ruler, measure: Measure) -> list[_Run]:
    """Sections stay apart, unless one is tiny, or the next is below it and both fit into one passage."""
    runs: list[_Run] = []
    for section in sections:
        if runs and _belong_together(runs[-1], section, ruler, measure):
            runs[-1] = runs[-1].with_([section])
        else:
            runs.append(_Run((section,)))
    return _without_tiny_ends(runs, ruler, measure)


def _belong_together(run: _Run, section: Section, ruler: Ruler, measure: Measure) -> bool:
    last = run.sections[-1]
    if last.page != section.page:
        return False
    if ruler.tokens(run.start, run.end) < measure.tiny:
        return True
    return last.level < section.level and ruler.tokens(run.start, section.end) <= measure.tokens


def _without_tiny_ends(runs: list[_Run], ruler: Ruler, measure: Measure) -> list[_Run]:
    """The last run of a page, having no successor to join, joins its predecessor."""
    kept: list[_Run] = []
    for run in runs:
        same_page = kept and kept[-1].sections[-1].page == run.sections[0].page
        if same_page and ruler.tokens(run.start, run.end) < measure.tiny:
            kept[-1] = kept[-1].with_(run.sections)
        else:
            kept.append(run)
    return kept


@dataclass(frozen=True, slots=True)
class _Cutter:
    """Cuts the stretch of a text that ends at `end`."""

    ruler: Ruler
    measure: Measure
    end: int

    def spans(self, start: int) -> Iterator[tuple[int, int]]:
        """Passages from `start` to the end, each within the measure."""
        covered = start  # everything before it is in a passage
        while covered < self.end:
            end = self._fitting_end(start, covered)
            if end is None:  # what is shared with the last passage leaves no room
                start, end = covered, self._fitting_end(covered, covered) or covered + 1
            yield start, end
            start, covered = self._resumption(start, end), end

    def _fitting_end(self, start: int, covered: int) -> int | None:
        """The best end beyond `covered`; None where no text between them fits."""
        budget = self.measure.tokens
        while budget > 0:
            end = self._best_end(start, covered, budget)
            if end <= covered:
                return None
            excess = self.ruler.exact(start, end) - self.measure.tokens
            if excess <= 0:
                return end
            budget = min(budget, self.ruler.tokens(start, end)) - excess
        return None

    def _best_end(self, start: int, covered: int, budget: int) -> int:
        rest = self.ruler.tokens(start, self.end)
        if rest <= budget:
            return self.end
        most = min(budget, max(rest - self.measure.tiny, budget // 2))  # what is left shall not be tiny
        low = max(covered, self.ruler.ahead(start, most // 2))
        high = self.ruler.ahead(start, most)
        for pattern in _ENDS:
            if ends := self._matches(pattern, low, high):
                return ends[-1]
        return self._between_letters(low, high)

    def _resumption(self, start: int, end: int) -> int:
        """Where the passage after `start` to `end` begins, so that the two overlap."""
        if self.measure.overlap == 0 or end >= self.end:
            return end
        low = max(start, self.ruler.back(end, self.measure.overlap) - 1)
        for pattern in _RESUMPTIONS:
            if starts := self._matches(pattern, low, end - 1):
                return starts[0]
        return self._between_letters(low, low + 1)

    def _matches(self, pattern: re.Pattern[str], low: int, high: int) -> list[int]:
        """Where the pattern ends, beyond `low` and up to `high`."""
        found = pattern.finditer(self.ruler.text, max(0, low - LOOK_AHEAD_CHARS), high + LOOK_AHEAD_CHARS)
        return [match.end() for match in found if low < match.end() <= high]

    def _between_letters(self, low: int, high: int) -> int:
        """The last place up to `high` that doesn't tear a character from its accents; `high` if there is none."""
        text = self.ruler.text
        return next((at for at in range(high, max(low, high - UNIT_MAX_CHARS), -1) if not _joined(text, at)), high)


def _passage(text: str, run: _Run, start: int, end: int) -> Passage:
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    piece = piece.strip()
    end = start + len(piece)
    first, last = _section_at(run, start), _section_at(run, end - 1)
    above = (heading for heading in first.headings if heading in last.headings and heading.start < start)
    return Passage(first.page, start, end, piece, tuple(heading.title for heading in above))


def _section_at(run: _Run, position: int) -> Section:
    return run.sections[max(0, bisect_right(run.sections, position, key=attrgetter("start")) - 1)]


def _joined(text: str, at: int) -> bool:
    """Whether the characters before and after a place are one to a reader."""
    after = text[at : at + 1]
    return (
        text[at - 1 : at] == _JOINER
        or after == _JOINER
        or bool(after and (combining(after) or _MODIFIERS.match(after)))
    )


def _token_starts(text: str, tokenizer: Tokenizer) -> Iterator[int]:
    for begin, piece in _slices(text):
        for start, _ in tokenizer.offsets(piece):
            yield begin + start


def _slices(text: str) -> Iterator[tuple[int, str]]:
    """The text in pieces that end with white space where they can."""
    start = 0
    while start < len(text):
        end = start + SLICE_CHARS
        if end < len(text):
            end = max(text.rfind(" ", start, end), text.rfind("\n", start, end)) + 1 or end
        yield start, text[start:end]
        start = end


def _no_wide_gaps(starts: Iterable[int], length: int) -> Iterator[int]:
    """The starts, and more between those that are far apart: a tokenizer may take a megabyte as one token."""
    last = 0
    for start in starts:
        yield from range(last + UNIT_MAX_CHARS, start, UNIT_MAX_CHARS)
        yield start
        last = start
    yield from range(last + UNIT_MAX_CHARS, length, UNIT_MAX_CHARS)
