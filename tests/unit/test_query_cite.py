"""Citation marks in a streamed answer."""

import re
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svc_query.cite import Citing

TOWER = "The tower is 330 metres tall and was completed in March 1889 for the world fair."
BRIDGE = "The suspension bridge spans the river and carries two railway tracks."
HAN = "埃菲尔铁塔高三百三十米，位于巴黎战神广场，建于1889年。"

hostile = st.text(st.sampled_from("[]0129 .。!\n”)aé塔高, "), max_size=80)
sources = st.lists(st.sampled_from([TOWER, BRIDGE, HAN, "a", "塔高"]), max_size=3)


def cited(text: str, sources: Sequence[str], question: str = "") -> str:
    citing = Citing(sources, question)
    return citing.feed(text) + citing.finish()


def unmarked(text: str) -> str:
    """The text when every mark is taken out, and those that come about by taking out."""
    while (fewer := re.sub(r" *\[\d{1,3}\]", "", text)) != text:
        text = fewer
    return text


@given(hostile, sources)
def test_but_for_marks_the_text_is_the_models_own(text: str, sources: list[str]):
    assert unmarked(cited(text, sources)) == unmarked(text)


@given(hostile, sources, st.lists(st.integers(0, 80), max_size=10))
def test_how_the_text_was_split_makes_no_difference(text: str, sources: list[str], cuts: list[int]):
    edges = [0, *sorted(cuts), len(text)]
    pieces = [text[a:b] for a, b in pairwise(edges)] + [text[edges[-1] :]]
    citing = Citing(sources, "")

    streamed = "".join(citing.feed(piece) for piece in pieces) + citing.finish()

    assert streamed == cited("".join(pieces), sources)


@given(hostile, sources)
def test_every_mark_in_the_output_names_a_source(text: str, sources: list[str]):
    assert all(1 <= int(n) <= len(sources) for n in re.findall(r"\[(\d{1,3})\]", cited(text, sources)))


def test_the_models_own_mark_stays():
    assert cited("It is tall [2]. Really.", [TOWER, BRIDGE]) == "It is tall [2]. Really."


@pytest.mark.parametrize("mark", ["[3]", "[0]", "[999]", " [3]"])
def test_a_mark_beyond_the_sources_goes(mark: str):
    assert cited(f"Who knows{mark}.", [TOWER, BRIDGE]) == "Who knows."


def test_a_mark_that_only_comes_about_by_dropping_another_goes_too():
    assert cited("[[9]8]", [TOWER]) == ""


def test_brackets_of_other_kinds_are_text():
    assert cited("a[i] = [x, 1] [1234] [", [TOWER]) == "a[i] = [x, 1] [1234] ["


def test_a_supported_sentence_gets_the_mark_of_its_source():
    text = "The bridge carries two railway tracks. The tower was completed in 1889."

    assert cited(text, [TOWER, BRIDGE]) == (
        "The bridge carries two railway tracks. [2] The tower was completed in 1889. [1]"
    )


def test_words_that_only_say_that_an_answer_comes_need_no_source():
    said = "The answer to this question is: 330 metres."

    assert cited(said, [BRIDGE, TOWER], "How tall is the tower?") == f"{said} [2]"
    assert cited("The answer to this question is in the text.", [TOWER], "How?").count("[") == 0


def test_a_chinese_sentence_gets_its_mark_without_a_space():
    assert cited("铁塔高三百三十米。它位于战神广场。", [TOWER, HAN]) == "铁塔高三百三十米。[2]它位于战神广场。[2]"


def test_an_unsupported_sentence_gets_none():
    assert cited("Elephants eat bananas every morning.", [TOWER, BRIDGE]) == "Elephants eat bananas every morning."


def test_a_number_that_the_source_does_not_have_is_not_supported():
    assert cited("The tower was completed in March 1890.", [TOWER]) == "The tower was completed in March 1890."


def test_the_words_of_the_question_prove_nothing():
    text = "The suspension bridge spans the valley."

    assert cited(text, [BRIDGE], "What does the suspension bridge span?") == text


def test_a_mark_after_the_full_stop_counts_for_its_sentence():
    text = "The bridge carries two railway tracks. [1] It is long."

    assert cited(text, [TOWER, BRIDGE]) == text


def test_an_answer_without_a_full_stop_is_marked_at_its_end():
    assert cited("two railway tracks", [TOWER, BRIDGE]) == "two railway tracks [2]"


def test_items_of_a_list_are_marked_each():
    assert cited("- railway tracks\n- world fair\n", [TOWER, BRIDGE]) == "- railway tracks [2]\n- world fair [1]\n"


def test_a_point_inside_a_number_ends_no_sentence():
    assert cited("Version 3.14 is out.", ["version 3.14 is out now"]) == "Version 3.14 is out. [1]"


def test_text_is_shown_as_soon_as_it_can_not_be_a_mark():
    citing = Citing([TOWER], "")

    assert [citing.feed(piece) for piece in ("The", " tower", " [", "1", "x", " ", "end")] == [
        "The",
        " tower",
        "",
        "",
        " [1x",
        "",
        " end",
    ]
