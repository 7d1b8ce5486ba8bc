"""Which language a text is in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragmesh.language import language_of

BOTH = frozenset({"en", "zh"})


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Who won the Super Bowl?", "en"),
        ("谁赢了超级碗？", "zh"),
        ("谁赢了 Super Bowl?", "zh"),
        ("We call the Chinese team 黑豹队, which means the black panthers of Carolina.", "en"),
        ("Wie viele Menschen leben in dieser Stadt?", "de"),
        ("¿Cuánto cuesta el billete de tren para la ciudad?", "es"),
        ("今日はいい天気ですね", "ja"),
        ("오늘 날씨가 좋네요", "ko"),
        ("Сколько людей живёт в этом городе сегодня?", "ru"),
    ],
)
def test_a_sentence_tells_its_language(text, language):
    assert language_of(text) == language


@pytest.mark.parametrize("text", ["", "4711", "12:30 ?!", "INV-2024"])
def test_what_has_no_words_tells_none(text):
    assert language_of(text) in {"", "en"}
    assert language_of("4711") == ""


def test_a_few_words_are_in_one_of_the_languages_that_there_are():
    assert language_of("Super Bowl 50") == ""
    assert language_of("Super Bowl 50", BOTH) == "en"
    assert language_of("超级碗", BOTH) == "zh"


def test_a_question_in_another_script_is_in_none_of_them():
    assert language_of("Сколько людей живёт в этом городе сегодня?", BOTH) == "ru"


@given(st.text())
def test_any_text_has_a_code_or_none(text):
    assert len(language_of(text)) in {0, 2}
