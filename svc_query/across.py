"""One ranking out of several languages: a question finds its passage in whichever language it is written.

An embedder holds texts of one language to be more alike than a text and its translation. In a collection of two
languages a passage in the other one hardly ever comes before those on the same topic in the question's own. So each
language is searched apart, the first few of each are read word by word (`late`, `lexicon`), and that language leads
whose best passage holds more of what is asked. Then the languages take turns, by rank: beyond that, no score of one
is compared with a score of another.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass
from functools import partial
from itertools import chain, zip_longest
from types import TracebackType
from typing import Any, Self

import numpy as np
from prometheus_client import Counter

from ragmesh.inference.port import Role, WordEmbedder, Words
from ragmesh.storage.vectors.port import Hit
from svc_query import late
from svc_query.lexicon import CHINESE, ENGLISH, Lexicon, number_shares

UNREAD = Counter("ragmesh_across_unread_total", "Searches whose passages were not read in time to order languages")

READ_S = 1.0  # for as long a search waits for passages that are read for the first time
READING_MAX = 512  # texts that are being read, or wait for it
HOME_READ = 12  # passages in the question's own language that are read word by word
ABROAD_READ = 20  # likewise in all others together
KEPT_BYTES = 128 * 2**20  # of words that were read: a passage takes about 100 kB
# What a passage abroad may hold less of the question's words than the best one at home and still come first: the
# likeness of a word and its translation is lower than that of a word and itself.
BENEFIT = 0.26
WORDS_SHARE, NUMBERS_SHARE = 0.3, 0.2  # weights beside the late interaction, which is 2 at most
FUSED_SHARE = 0.5  # weight of the ranking at home as it was found, beside the late interaction
SAME_MIN = 0.3  # likeness from which two passages that are each other's closest say the same
SAME_SLACK = 0.03  # by which others may be closer: passages overlap
HOME_FIRST = 3  # passages before the first from abroad, where home leads: mostly it leads rightly


_Text = tuple[Role, str]


@dataclass(frozen=True, slots=True)
class _Asked:
    """The question, the language that it is in, and its words."""

    question: str
    language: str
    words: Words


@dataclass(frozen=True, slots=True)
class _Pool:
    """What was found in one language, best first."""

    hits: Sequence[Hit]
    evidence: float  # of the passage that holds most of what is asked
    first: late.Floats  # what the first is about, (dims,)
    others: late.Floats  # what all that were read are about, (n, dims)


class Across:
    """Reads passages and orders languages. An async context manager: concurrent searches share what they read."""

    def __init__(self, embedder: WordEmbedder) -> None:
        self._embedder = embedder
        self._reading: dict[_Text, asyncio.Task[Words]] = {}
        self._kept: OrderedDict[_Text, Words] = OrderedDict()
        self._kept_bytes = 0
        self._lexicon: asyncio.Task[Lexicon] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks: list[asyncio.Task[Any]] = [*self._reading.values(), *([self._lexicon] if self._lexicon else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def order(self, question: str, asked: str, found: Mapping[str, Sequence[Hit]]) -> list[Hit]:
        """The hits of all languages as one list, best first, with scores that tell their ranks.

        `asked` is the question's language, `found` has the hits of each, best first.
        """
        found = {language: hits for language, hits in found.items() if hits}
        if len(found) < 2 or not self._embedder.info.token_vectors:
            return _scored(_home_first(found, asked))
        shown = {language: hits[: _depth(language, asked, len(found))] for language, hits in found.items()}
        texts = [(Role.PASSAGE, hit.chunk.text) for hits in shown.values() for hit in hits]
        await self._read([(Role.QUERY, question), *texts])
        read = {language: self._known(hits) for language, hits in shown.items()}
        words = self._kept.get((Role.QUERY, question))
        if words is None or not all(read.values()):
            UNREAD.inc()
            return _scored(_home_first(found, asked))
        lexicon = await self._load() if set(found) == {CHINESE, ENGLISH} else None
        pools = await asyncio.to_thread(_pools, _Asked(question, asked, words), found, read, lexicon)
        return _scored(_merged(pools, asked))

    async def _read(self, texts: Sequence[_Text]) -> None:
        """Reads what is not known yet, as much of it as is done in time; the rest is read for the next who asks.

        Raises what the embedder raises.
        """
        missing = {text for text in texts if text not in self._kept}
        for text in missing - self._reading.keys():
            if len(self._reading) < READING_MAX:
                task = self._reading[text] = asyncio.create_task(self._read_one(text), context=Context())
                task.add_done_callback(partial(self._read_end, text))
        waited = [self._reading[text] for text in missing if text in self._reading]
        if waited:
            done, _ = await asyncio.wait(waited, timeout=READ_S)
            for task in done:
                task.result()

    async def _read_one(self, text: _Text) -> Words:
        words = await self._embedder.embed_words(text[1], text[0])
        self._kept[text] = words
        self._kept_bytes += words.vectors.nbytes
        while self._kept_bytes > KEPT_BYTES:
            _, oldest = self._kept.popitem(last=False)
            self._kept_bytes -= oldest.vectors.nbytes
        return words

    def _read_end(self, text: _Text, task: asyncio.Task[Words]) -> None:
        del self._reading[text]
        if not task.cancelled():
            task.exception()  # told to those who wait, if any still do

    def _known(self, hits: Sequence[Hit]) -> dict[str, Words]:
        """Those of the passages that have been read, by chunk."""
        known: dict[str, Words] = {}
        for hit in hits:
            words = self._kept.get(text := (Role.PASSAGE, hit.chunk.text))
            if words is not None and len(words.vectors):
                self._kept.move_to_end(text)
                known[hit.chunk.chunk_id] = words
        return known

    async def _load(self) -> Lexicon:
        if self._lexicon is None:
            self._lexicon = asyncio.create_task(asyncio.to_thread(Lexicon.load))
        return await asyncio.shield(self._lexicon)


def _depth(language: str, asked: str, languages: int) -> int:
    """How many passages of a language are read."""
    return HOME_READ if language == asked else max(HOME_READ // 2, ABROAD_READ // (languages - 1))


def _home_first(found: Mapping[str, Sequence[Hit]], asked: str) -> list[Hit]:
    home = [hits for language, hits in found.items() if language == asked]
    return _in_turns(home, [hits for language, hits in found.items() if language != asked])


def _pools(
    asked: _Asked,
    found: Mapping[str, Sequence[Hit]],
    read: Mapping[str, Mapping[str, Words]],
    lexicon: Lexicon | None,
) -> dict[str, _Pool]:
    means = {language: late.mean_of(list(passages.values())) for language, passages in read.items()}
    home_mean = means.get(asked.language)
    if home_mean is None:
        home_mean = late.mean_of([words for passages in read.values() for words in passages.values()])
    wanted = late.centred(asked.words.vectors, home_mean)
    return {
        language: _pool(asked, wanted, language, hits, read[language], means[language], lexicon)
        for language, hits in found.items()
    }


def _pool(
    asked: _Asked,
    wanted: late.Floats,
    language: str,
    hits: Sequence[Hit],
    read: Mapping[str, Words],
    mean: late.Floats,
    lexicon: Lexicon | None,
) -> _Pool:
    """One language's hits, those that were read first."""
    judged = [hit for hit in hits if hit.chunk.chunk_id in read]
    passages, texts = list(read.values()), [hit.chunk.text for hit in judged]
    likeness = late.scores(wanted, passages, mean)
    evidence = likeness + NUMBERS_SHARE * np.array(number_shares(asked.question, texts), np.float32)
    if lexicon:
        shares = lexicon.shares(asked.question, asked.language, language, texts)
        evidence += WORDS_SHARE * np.array(shares, np.float32)
    is_home = language == asked.language
    order = np.argsort(-(_blended(judged, likeness) if is_home else evidence), kind="stable")
    gists = late.gists(passages, mean)
    return _Pool(
        [*(judged[place] for place in order), *(hit for hit in hits if hit.chunk.chunk_id not in read)],
        float(evidence.max()) + (0.0 if is_home else BENEFIT),
        gists[order[0]],
        gists,
    )


def _blended(hits: Sequence[Hit], likeness: late.Floats) -> late.Floats:
    """At home the words themselves tell too: they are in the hits' scores."""
    fused = np.array([hit.score for hit in hits], np.float32)
    return FUSED_SHARE * _spread(fused) + (1 - FUSED_SHARE) * _spread(likeness)


def _spread(values: late.Floats) -> late.Floats:
    return (values - values.min()) / max(float(np.ptp(values)), 1e-9)


def _merged(pools: Mapping[str, _Pool], asked: str) -> list[Hit]:
    """Languages by turns, the one that leads first."""
    abroad = sorted((pool for language, pool in pools.items() if language != asked), key=_evidence, reverse=True)
    home = pools.get(asked)
    rest = [pool.hits for pool in abroad]
    if home is None:
        return _in_turns([], rest)
    if home.evidence >= abroad[0].evidence or _say_the_same(home, abroad[0]):
        return _in_turns([home.hits], rest)
    return _in_turns([], [rest[0], home.hits, *rest[1:]])


def _evidence(pool: _Pool) -> float:
    return pool.evidence


def _say_the_same(home: _Pool, abroad: _Pool) -> bool:
    """Whether the first passages are each other's translation: then the question's own language comes first."""
    likeness = float(home.first @ abroad.first)
    closest = max(float((home.others @ abroad.first).max()), float((abroad.others @ home.first).max()))
    return likeness >= SAME_MIN and likeness >= closest - SAME_SLACK


def _in_turns(leading: Sequence[Sequence[Hit]], others: Sequence[Sequence[Hit]]) -> list[Hit]:
    """One of each in turns; of what leads a few before the others."""
    first = [hit for hits in leading for hit in hits[:HOME_FIRST]]
    rounds = zip_longest(*others, *(hits[HOME_FIRST:] for hits in leading))
    return [*first, *(hit for hit in chain.from_iterable(rounds) if hit is not None)]


def _scored(hits: Sequence[Hit]) -> list[Hit]:
    return [Hit(hit.chunk, 1 / rank) for rank, hit in enumerate(hits, start=1)]
