"""The measures of retrieval."""

import pytest

from ragmesh.quality import groundedness, mrr, rank_of, recall


def test_a_rank_counts_distinct_passages():
    assert rank_of("c", ["a", "a", "b", "c"]) == 3
    assert rank_of("z", ["a"]) is None


PASSAGES = {"[1]": "A hotel may cost up to 140 euros a night.", "[2]": "数据保存七年。", "[3]": "Nothing of it."}


@pytest.mark.parametrize(
    ("answer", "share"),
    [
        ("You may pay up to 140 euros a night for a hotel. [1]", 1.0),
        ("A hotel may cost 140 euros a night [1].", 1.0),
        ("A hotel may cost up to 150 euros a night. [1]", 0.0),  # another number
        ("A hotel may cost up to 140 euros a night.", 0.0),  # no mark
        ("A hotel may cost up to 140 euros a night. [3]", 0.0),  # another passage
        ("A hotel may cost up to 140 euros a night. [9]", 0.0),  # none
        ("A hotel may cost up to 140 euros. [1] Trains are always free of charge. [1]", 0.5),
        ("数据保存七年。[2]", 1.0),
        ("[1]", None),
        ("", None),
    ],
)
def test_an_answer_is_grounded_as_far_as_its_marks_support_it(answer, share):
    assert groundedness("What may I pay?", answer, PASSAGES) == share


def test_means_over_questions():
    ranks = [1, 2, 6, 11, None]

    assert recall(ranks, 1) == pytest.approx(1 / 5)
    assert recall(ranks, 5) == pytest.approx(2 / 5)
    assert mrr(ranks) == pytest.approx((1 + 1 / 2 + 1 / 6) / 5)
