"""A question's words in a text of the other language."""

import pytest

from svc_query.lexicon import Lexicon, number_shares


@pytest.fixture(scope="module")
def lexicon():
    return Lexicon.load()


@pytest.mark.parametrize(
    ("question", "asked", "language", "fits", "other"),
    [
        ("哪座堡垒是1964年重建的？", "zh", "en", "The fort was rebuilt in 1964.", "A river flows north."),
        ("Which fort was rebuilt?", "en", "zh", "这座堡垒后来重建。", "河流向北。"),
        ("哪座堡垒？", "zh", "zh", "这座堡垒后来重建。", "河流向北。"),
        ("Which fort was rebuilt?", "en", "en", "The fort was rebuilt.", "A river flows north."),
        ("NFL 的冠军是谁？", "zh", "en", "The NFL champion.", "A river flows north."),
    ],
)
def test_a_text_that_has_the_words_in_its_language_has_a_greater_share(
    lexicon, question, asked, language, fits, other
):
    good, bad = lexicon.shares(question, asked, language, [fits, other])

    assert good > 0.2 > bad


def test_shares_are_shares_even_of_nothing(lexicon):
    assert lexicon.shares("是什么？", "zh", "en", ["words"]) == [0.0]
    assert lexicon.shares("fort", "en", "zh", []) == []


def test_numbers_are_the_same_in_every_language():
    assert number_shares("1964年或1,970年？", ["in 1964", "in 1970 and 1964", "never"]) == [0.5, 1.0, 0.0]
    assert number_shares("何时？", ["1964"]) == [0.0]
