"""The measures of retrieval."""

import pytest

from bench.quality import mrr, rank_of, recall


def test_a_rank_counts_distinct_passages():
    assert rank_of("c", ["a", "a", "b", "c"]) == 3
    assert rank_of("z", ["a"]) is None


def test_means_over_questions():
    ranks = [1, 2, 6, 11, None]

    assert recall(ranks, 1) == pytest.approx(1 / 5)
    assert recall(ranks, 5) == pytest.approx(2 / 5)
    assert mrr(ranks) == pytest.approx((1 + 1 / 2 + 1 / 6) / 5)
