"""Whether passages may answer a question: told by meaning and words, and only where that was calibrated."""

import pytest

from svc_query.enough import CALIBRATIONS, calibration_of, coverage, is_enough
from tests.query_fakes import passage

TOWER = passage("The tower was completed in March 1889 by Gustave Eiffel.", document="tower")
HAN = passage("铁塔于1889年3月建成。", document="铁塔")
ASKED = "When was the tower completed?"
NEAR, FAR = 0.88, 0.70  # cosines of e5-small: of what answers, and of what is about something else


def test_a_near_passage_with_the_words_of_the_question_may_answer():
    assert is_enough(ASKED, [TOWER], NEAR, "e5-small")


def test_a_far_passage_without_the_words_of_the_question_does_not():
    assert not is_enough("How many wolves live in Norway?", [TOWER], FAR, "e5-small")


def test_neither_words_nor_meaning_decide_alone():
    assert is_enough("Who finished the steeple?", [TOWER], 0.91, "e5-small")  # other words for it
    assert is_enough(ASKED, [TOWER], 0.75, "e5-small")  # the same words, though far


@pytest.mark.parametrize(
    ("question", "passages", "cosine", "embedder"),
    [
        ("How many wolves live in Norway?", [TOWER], FAR, "an embedder of somebody's own"),
        ("Сколько волков живет в Норвегии?", [TOWER], FAR, "e5-small"),  # a language that was not calibrated
        ("挪威有多少只狼？", [TOWER], FAR, "e5-small"),  # no word of it can stand in the passage
        ("挪威有多少只狼？", [HAN], FAR, "minilm-l6"),
        ("How many wolves live in Norway?", [TOWER], None, "e5-small"),  # only words were searched for
    ],
)
def test_what_nobody_has_calibrated_is_never_refused(question, passages, cosine, embedder):
    assert is_enough(question, passages, cosine, embedder)


def test_a_chinese_question_is_judged_by_its_own_threshold():
    assert calibration_of("铁塔何时建成？", "e5-small") == CALIBRATIONS["e5-small", "zh"]
    assert is_enough("铁塔何时建成？", [HAN], NEAR, "e5-small")
    assert not is_enough("挪威有多少只狼？", [HAN], FAR, "e5-small")


def test_words_are_looked_for_in_the_title_too_and_in_each_passage_by_itself():
    assert coverage("tower completed", [TOWER, HAN]) == 1
    assert coverage("tower wolves", [TOWER]) == 0.5
    assert coverage("Eiffel wolves", [passage("wolves"), passage("Eiffel")]) == 0.5
    assert coverage("What is it?", [TOWER]) == 1  # no word of its own
