"""Citation marks in an answer while it is being written.

A model's own marks stay where they name a source, and go where they don't. A sentence without a mark gets that of
the source which supports it, if one does:

    citing = Citing(sources=["The tower is 330 m tall."], question="How tall is the tower?")
    citing.feed("It is 330 m ta")   # "It is 330 m ta"
    citing.feed("ll. [7")           # "ll."
    citing.feed("] Good.")          # " [1] Good."

Text is held back only while it may still become a mark: spaces, and what follows an opening bracket.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ragmesh.evidence import SUPPORT_MIN, Evidence
from ragmesh.terms import terms

MARK = re.compile(r"\[(\d{1,3})\]")
_COMPLETED = re.compile(r" *\[(\d{1,3})\]$")
_UNDECIDED = re.compile(r"(?: *\[\d{0,3})* *")
_SENTENCE_END = re.compile(r"[.!?…][\"'”’)]*$")  # an end only before a space: "3.14" has none
_HAN_SENTENCE_END = re.compile(r"[。！？；][”’」』）]*$")
_ANSWERING = terms("answer question text document passage")  # in a sentence, say only that it answers
_CLOSING = "”’」』）"


@dataclass(slots=True)
class Citing:
    """Rewrites one streamed answer. Feed it every piece in order, then finish."""

    sources: Sequence[str]
    question: str
    _evidence: list[Evidence] = field(init=False)
    _asked: frozenset[str] = field(init=False)
    _held: str = field(default="", init=False)  # may still become a mark
    _sentence: str = field(default="", init=False)  # what the reader has of it, without marks
    _marked: bool = field(default=False, init=False)  # the sentence has a mark
    removed: int = field(default=0, init=False)  # marks that named no source

    def __post_init__(self) -> None:
        self._evidence = [Evidence.of(source) for source in self.sources]
        self._asked = terms(self.question)

    def feed(self, text: str) -> str:
        """The text that is decided by now."""
        return "".join(self._take(char) for char in text)

    def finish(self) -> str:
        """The rest of the answer."""
        body = self._held.rstrip(" ")
        self._sentence += body
        return body + self._missing_mark() + self._held[len(body) :]

    def _take(self, char: str) -> str:
        self._held += char
        if mark := _COMPLETED.search(self._held):
            return self._settle(mark)
        if _UNDECIDED.fullmatch(self._held):
            return ""
        return self._release()

    def _settle(self, mark: re.Match[str]) -> str:
        """Keeps a mark that names a source, and drops any other; what stood before it may still become one."""
        if not 1 <= int(mark[1]) <= len(self.sources):
            self._held = self._held[: mark.start()]
            self.removed += 1
            return ""
        self._marked = True
        kept, self._held = self._held, ""
        return kept

    def _release(self) -> str:
        """Lets go what is no mark, after the mark of the sentence that ended before it."""
        text, self._held = self._held, ""
        mark = ""
        if self._ends_before(text):
            mark = self._missing_mark()
            self._sentence, self._marked = "", False
        self._sentence += text
        return mark + text

    def _ends_before(self, text: str) -> bool:
        if text.endswith("\n"):
            return True
        if _HAN_SENTENCE_END.search(self._sentence):
            return text[0] not in _CLOSING
        return text[0].isspace() and _SENTENCE_END.search(self._sentence) is not None

    def _missing_mark(self) -> str:
        if self._marked:
            return ""
        best = self._best_source()
        space = "" if _HAN_SENTENCE_END.search(self._sentence) else " "
        return f"{space}[{best}]" if best else ""

    def _best_source(self) -> int:
        """The number of the source that supports the sentence best, the earlier of equals; 0 when none does."""
        said = Evidence.of(self._sentence)
        claim = replace(said, terms=said.terms - _ANSWERING)
        supports = [evidence.support(claim, self._asked) for evidence in self._evidence]
        best = max(supports, default=0.0)
        return supports.index(best) + 1 if best >= SUPPORT_MIN else 0
