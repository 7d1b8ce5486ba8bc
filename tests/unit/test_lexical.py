"""Candidates are scored by the words of the question, in English and Chinese alike."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragmesh.chunk import Chunk
from ragmesh.storage.vectors.port import Hit
from svc_query.lexical import bm25, by_words


def hit(name: str, text: str, score: float = 0.0) -> Hit:
    return Hit(Chunk("c", name, 1, 0, name, "text/plain", 0, 0, len(text), text), score)


def test_a_rare_word_counts_for_more_than_a_common_one():
    common, rare, neither = bm25("the walrus", ["the ship left", "walrus on the ice", "nothing here"])

    assert rare > common > neither == 0


def test_a_word_is_matched_whole():
    assert bm25("art", ["a cart of tarts", "modern art."]) == [
        0,
        pytest.approx(bm25("art", ["x", "modern art."])[1], 1),
    ]


def test_chinese_is_matched_by_pairs_of_characters_and_next_to_latin_words():
    harbour, league, other = bm25("港口 NFL", ["渡轮停在港口。", "国家橄榄球联盟NFL成立", "口港无关"])

    assert harbour > 0
    assert league > 0
    assert other == 0


def test_the_title_counts():
    assert [
        found.chunk.document_id for found in by_words("ferry", [hit("note", "x"), hit("ferry-times.md", "x")])
    ] == [
        "ferry-times.md",
        "note",
    ]


@given(st.text(max_size=60), st.lists(st.text(max_size=200), max_size=5))
def test_every_candidate_is_scored_once_and_never_below_zero(question, texts):
    hits = [hit(f"d{number}", text) for number, text in enumerate(texts)]

    found = by_words(question, hits + hits)

    assert len(found) == len(texts)
    assert all(each.score >= 0 for each in found)
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)
