"""One ranking out of several languages, with words whose vectors a test chose."""

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from ragmesh.errors import Unavailable
from ragmesh.inference.port import EmbedderInfo, Role, Words
from ragmesh.storage.vectors.port import Hit
from svc_query import across
from svc_query.across import Across
from tests.query_fakes import passage

TOPIC, ASKED, TOLD, ELSE = np.eye(4, dtype=np.float16)
EN, ZH = np.eye(8, dtype=np.float16)[4], np.eye(8, dtype=np.float16)[5]


class Reader:
    """Gives each text the words that a test wrote down for it: a language, and what they mean."""

    info = EmbedderInfo("toy", "1", 8, 512, frozenset({"en", "zh"}), "", "", token_vectors=True)

    def __init__(self, **texts: tuple[np.ndarray, Sequence[np.ndarray]]) -> None:
        self.texts = texts
        self.read: list[str] = []
        self.held: asyncio.Event | None = None
        self.fault: Exception | None = None

    async def embed_words(self, text: str, role: Role) -> Words:
        self.read.append(text)
        if self.held:
            await self.held.wait()
        if self.fault:
            raise self.fault
        language, meanings = self.texts[text]
        vectors = np.stack([np.pad(meaning, (0, 4)) + 2 * language for meaning in meanings])
        return Words(vectors.astype(np.float16), np.zeros(len(vectors), np.int32))


def hits(language: str, *names: str) -> list[Hit]:
    return [
        Hit(passage(name, document=name, language=language), 1 / rank) for rank, name in enumerate(names, start=1)
    ]


async def names(reader: Reader, found: dict[str, list[Hit]], asked: str = "zh") -> list[str]:
    async with Across(reader) as orders:
        return [hit.chunk.text for hit in await orders.order("question", asked, found)]


QUESTION = (ZH, [TOPIC, ASKED])
HOME_TOPIC = (ZH, [TOPIC, ELSE, ELSE])
HOME_GOLD = (ZH, [TOPIC, ASKED, TOLD])
HOME_ELSE = (ZH, [ELSE, TOLD, ELSE])
ABROAD_GOLD = (EN, [TOPIC, ASKED, TOLD])
ABROAD_ELSE = (EN, [ELSE, TOLD, ELSE])


async def test_the_answer_abroad_comes_before_the_topic_at_home():
    reader = Reader(question=QUESTION, topic=HOME_TOPIC, other=HOME_ELSE, gold=ABROAD_GOLD, far=ABROAD_ELSE)

    assert await names(reader, {"zh": hits("zh", "topic", "other"), "en": hits("en", "far", "gold")}) == [
        "gold",
        "topic",
        "far",
        "other",
    ]


async def test_the_answer_at_home_comes_first_and_three_of_home_before_any_from_abroad():
    reader = Reader(question=QUESTION, gold=HOME_GOLD, b=HOME_ELSE, c=HOME_TOPIC, d=HOME_ELSE, far=ABROAD_ELSE)

    ordered = await names(reader, {"zh": hits("zh", "gold", "b", "c", "d"), "en": hits("en", "far")})

    assert ordered[0] == "gold"
    assert ordered[3] == "far"


async def test_of_two_that_say_the_same_the_one_in_the_askers_language_comes_first(monkeypatch):
    monkeypatch.setattr(across, "BENEFIT", 1.0)  # as if abroad had more of the question's words
    reader = Reader(question=QUESTION, gold=HOME_GOLD, other=HOME_ELSE, same=ABROAD_GOLD, far=ABROAD_ELSE)

    ordered = await names(reader, {"zh": hits("zh", "gold", "other"), "en": hits("en", "same", "far")})

    assert ordered[0] == "gold"


async def test_every_hit_is_there_once_and_scores_tell_ranks():
    reader = Reader(question=QUESTION, a=HOME_GOLD, b=HOME_ELSE, c=ABROAD_GOLD, d=ABROAD_ELSE)
    async with Across(reader) as orders:
        ordered = await orders.order("question", "zh", {"zh": hits("zh", "a", "b"), "en": hits("en", "c", "d")})

    assert sorted(hit.chunk.text for hit in ordered) == ["a", "b", "c", "d"]
    assert [hit.score for hit in ordered] == [1, 1 / 2, 1 / 3, 1 / 4]


async def test_a_question_in_a_language_that_is_not_there_gets_all_languages_by_turns():
    reader = Reader(question=QUESTION, a=ABROAD_GOLD, b=ABROAD_ELSE, c=HOME_ELSE)

    ordered = await names(reader, {"en": hits("en", "b", "a"), "zh": hits("zh", "c")}, asked="de")

    assert ordered[0] == "a"
    assert sorted(ordered) == ["a", "b", "c"]


async def test_nothing_is_read_where_one_language_has_all_hits():
    reader = Reader()

    assert await names(reader, {"zh": hits("zh", "a", "b"), "en": []}) == ["a", "b"]
    assert reader.read == []


async def test_a_passage_is_read_once_however_many_search():
    reader = Reader(question=QUESTION, a=HOME_GOLD, b=ABROAD_GOLD)
    found = {"zh": hits("zh", "a"), "en": hits("en", "b")}
    async with Across(reader) as orders:
        await asyncio.gather(*(orders.order("question", "zh", found) for _ in range(5)))
        await orders.order("question", "zh", found)

    assert sorted(reader.read) == ["a", "b", "question"]


async def test_what_is_not_read_in_time_does_not_hold_a_search_up_and_helps_the_next(monkeypatch):
    monkeypatch.setattr(across, "READ_S", 0.01)
    reader = Reader(question=QUESTION, topic=HOME_TOPIC, gold=ABROAD_GOLD, far=ABROAD_ELSE)
    reader.held = asyncio.Event()
    found = {"zh": hits("zh", "topic"), "en": hits("en", "far", "gold")}
    async with Across(reader) as orders:
        early = await orders.order("question", "zh", found)
        reader.held.set()
        await asyncio.gather(*orders._reading.values())
        late = await orders.order("question", "zh", found)

    assert [hit.chunk.text for hit in early] == ["topic", "far", "gold"]
    assert late[0].chunk.text == "gold"


async def test_what_the_model_refuses_is_told():
    reader = Reader()
    reader.fault = Unavailable("away")
    with pytest.raises(Unavailable):
        await names(reader, {"zh": hits("zh", "a"), "en": hits("en", "b")})


async def test_without_words_home_comes_first():
    class Plain(Reader):
        info = EmbedderInfo("toy", "1", 8, 512, frozenset({"en", "zh"}), "", "")

    found = {"zh": hits("zh", "a", "b", "c", "d"), "en": hits("en", "e")}
    assert await names(Plain(), found) == ["a", "b", "c", "e", "d"]
