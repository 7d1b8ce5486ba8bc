"""Questions that a passage answers, read off its sentences by pattern: at once, and the same each time."""

import re
from collections.abc import Callable, Iterator
from itertools import chain

from ragmesh.chunk import Chunk
from ragmesh.terms import STOP_WORDS
from svc_query.sentences import sentences
from svc_query.wording import CHINESE, wording_for

_DEFINITION = re.compile(
    r"(?P<name>(?:(?:The|A|An) )?[A-Z][\w'’-]*(?: (?:of the|of|for|and|[\w'’-]+)){0,4}?)"
    r" (?P<verb>is|are|was|were) (?:an?|the|one|called) "
)
_NAME = re.compile(r"(?<=[a-z,] )(?:the )?[A-Z][\w'’-]+(?: (?:of |the )?[A-Z][\w'’-]+){1,3}")
_YEAR = re.compile(r"\b[Ii]n (?P<year>1[5-9]\d\d|20\d\d)\b")
_HAN_DEFINITION = re.compile(r"(?P<name>[\u4e00-\u9fffA-Za-z0-9· ]{2,12}?)(?:是指|指的是|被称为|是(?=[一由]))")
_HAN_TERM = re.compile(r"[《“「](?P<name>[^《》“”「」，。]{2,16})[》”」]")
_HAN_VAGUE = frozenset("它他她这那我你其此该者但而且因所如当就也还都又只的在有对从于和与或没被将会最")
_VAGUE = STOP_WORDS | {"there", "one", "someone", "everyone", "something", "today", "yesterday"}

HEADING_WORDS_MAX = 10
NAME_WORDS_MAX = 6


def questions_about(chunk: Chunk) -> list[str]:
    """Questions in the passage's language, the most specific first, each once."""
    chinese = wording_for(chunk.text) is CHINESE
    kinds = _CHINESE if chinese else _ENGLISH
    return list(dict.fromkeys(chain.from_iterable(kind(chunk) for kind in kinds)))


def _definitions(chunk: Chunk) -> Iterator[str]:
    for sentence in sentences(chunk.text):
        found = _DEFINITION.match(sentence)
        if found and _is_telling(found["name"]):
            yield f"What {found['verb']} {_inside(found['name'])}?"


def _headings(chunk: Chunk) -> Iterator[str]:
    for heading in reversed(chunk.headings):
        words = heading.strip(" #*:").split()
        if words and words[-1].endswith("?"):
            yield " ".join(words)
        elif 1 < len(words) <= HEADING_WORDS_MAX:
            yield f"What should I know about {_inside(' '.join(words))}?"


def _years(chunk: Chunk) -> Iterator[str]:
    """Asks for what is told of somebody or something by name in a year."""
    for sentence in sentences(chunk.text):
        year, name = _YEAR.search(sentence), _NAME.search(sentence)
        if year and name:
            yield f"What happened with {name[0]} in {year['year']}?"


def _names(chunk: Chunk) -> Iterator[str]:
    for name in _NAME.findall(chunk.text):
        yield f"What is said about {name}?"


def _title(chunk: Chunk) -> Iterator[str]:
    if chunk.title:
        yield f"What is “{chunk.title}” about?"


def _han_definitions(chunk: Chunk) -> Iterator[str]:
    for sentence in sentences(chunk.text):
        found = _HAN_DEFINITION.match(sentence.strip())
        if found and not _HAN_VAGUE.intersection(found["name"]):
            yield f"{found['name'].strip()}是什么？"


def _han_headings(chunk: Chunk) -> Iterator[str]:
    for heading in reversed(chunk.headings):
        if heading.rstrip().endswith(("？", "?")):
            yield heading.strip()
        else:
            yield f"关于“{heading.strip()}”，文档是怎么说的？"


def _han_terms(chunk: Chunk) -> Iterator[str]:
    for name in _HAN_TERM.findall(chunk.text):
        yield f"文中提到的“{name}”是什么？"


def _han_title(chunk: Chunk) -> Iterator[str]:
    if chunk.title:
        yield f"“{chunk.title}”主要讲了什么？"


_Kind = Callable[[Chunk], Iterator[str]]
_ENGLISH: tuple[_Kind, ...] = (_definitions, _headings, _years, _names, _title)
_CHINESE: tuple[_Kind, ...] = (_han_definitions, _han_headings, _han_terms, _han_title)


def _is_telling(name: str) -> bool:
    words = name.lower().split()
    return words[-1] not in _VAGUE and len(words) <= NAME_WORDS_MAX and any(word not in _VAGUE for word in words)


def _inside(phrase: str) -> str:
    """A phrase as it stands inside a sentence: its first word in lower case, unless that is a name."""
    first, _, rest = phrase.partition(" ")
    lower = first.istitle() and (first.lower() in STOP_WORDS or (bool(rest) and rest == rest.lower()))
    return f"{first.lower()} {rest}".strip() if lower else phrase
