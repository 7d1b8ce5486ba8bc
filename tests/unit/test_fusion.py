"""Fusion and the languages that steer it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragmesh.chunk import Chunk
from ragmesh.storage.vectors.port import Hit
from svc_query.fusion import BALANCED, LEANING, dense_weight, fuse
from svc_query.language import readable_share

EN = frozenset({"en"})
BOTH = frozenset({"en", "zh"})


def hits(**scores: float) -> list[Hit]:
    return [
        Hit(Chunk("c", name, 1, 0, name, "text/plain", 0, 0, 1, name), score)
        for name, score in sorted(scores.items(), key=lambda item: -item[1])
    ]


def names(found: list[Hit]) -> list[str]:
    return [hit.chunk.document_id for hit in found]


def test_what_both_sides_like_wins():
    found = fuse(hits(a=0.9, b=0.88, c=0.7), hits(b=12.0, d=11.0, c=1.0), BALANCED)

    assert names(found) == ["b", "a", "d", "c"]


def test_a_clear_lead_counts_for_more_than_a_place():
    clear = fuse(hits(a=0.95, b=0.70, c=0.60), hits(b=10.0, a=9.9), BALANCED)
    close = fuse(hits(a=0.81, b=0.80, c=0.60), hits(b=10.0, a=9.0), BALANCED)

    assert names(clear)[0] == "a"
    assert names(close)[0] == "b"


def test_one_side_alone_keeps_its_order():
    assert names(fuse(hits(a=0.9, b=0.8), [], BALANCED)) == ["a", "b"]
    assert names(fuse([], hits(a=9.0, b=8.0), BALANCED)) == ["a", "b"]
    assert fuse([], [], BALANCED) == []


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.floats(-1, 1)),
    st.dictionaries(st.sampled_from("abcdef"), st.floats(0, 1e6)),
    st.floats(0, 1),
)
def test_every_candidate_is_ranked_once_with_a_score_from_0_to_1(dense, sparse, weight):
    found = fuse(hits(**dense), hits(**sparse), weight)

    assert sorted(names(found)) == sorted(dense.keys() | sparse.keys())
    assert all(-1e-9 <= hit.score <= 1 + 1e-9 for hit in found)
    assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)


@pytest.mark.parametrize(
    ("text", "languages", "share"),
    [
        ("Who won the Super Bowl?", EN, 1.0),
        ("谁赢了超级碗？", EN, 0.0),
        ("谁赢了超级碗？", BOTH, 1.0),
        ("谁赢了 Super Bowl?", EN, 0.5),
        ("ＮＦＬ", EN, 1.0),  # full-width Latin
        ("Кто победил?", EN, 0.0),
        ("Кто победил?", frozenset({"ru"}), 1.0),
        ("12:30 ?!", EN, 1.0),
        ("", EN, 1.0),
        ("naïve Übergröße", EN, 1.0),
    ],
)
def test_a_script_tells_what_a_model_reads(text, languages, share):
    assert readable_share(text, languages) == pytest.approx(share, abs=0.01)


@given(st.text())
def test_any_text_has_a_share(text):
    assert 0.0 <= readable_share(text, BOTH) <= 1.0


def passage(text: str) -> list[Hit]:
    return [Hit(Chunk("c", "d", 1, 0, "d", "text/plain", 0, 0, len(text), text), 1.0)]


def test_the_weight_follows_what_the_model_reads():
    english = passage("The Panthers won the game in Denver.")
    chinese = passage("黑豹队在丹佛赢得了 NFL 比赛。")

    assert dense_weight("Who won?", EN, english) == BALANCED
    assert dense_weight("谁赢了？", EN, chinese) == LEANING
    assert dense_weight("谁赢了？", BOTH, chinese) == BALANCED
    assert LEANING < dense_weight("谁赢了 NFL 比赛？", EN, chinese) < BALANCED


def test_words_of_another_script_prove_little():
    assert dense_weight("Who won the NFL?", BOTH, passage("黑豹队在丹佛赢得了 NFL 比赛。")) > 0.6
    assert dense_weight("谁赢了？", BOTH, passage("The Panthers won the game.")) == 1.0
    assert dense_weight("谁赢了？", EN, passage("The Panthers won the game.")) == LEANING


@given(st.text(), st.text())
def test_a_weight_is_a_share_whatever_the_texts(question, text):
    assert 0.0 < dense_weight(question, EN, passage(text)) <= 1.0
    assert LEANING <= dense_weight(question, BOTH, []) <= 1.0
