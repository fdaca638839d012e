"""Reciprocal rank fusion: worked by hand, and its laws."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsearch.searching.fusion import DAMPING, fuse

RANKING = st.dictionaries(st.integers(0, 20), st.floats(-1, 1), max_size=20)


def test_by_hand():
    fused = fuse([{1: 0.9, 2: 0.5, 3: 0.1}, {3: 7.0, 4: 2.0}], [1.0, 0.5])
    assert fused == {
        1: pytest.approx(1 / 61),
        2: pytest.approx(1 / 62),
        3: pytest.approx(1 / 63 + 0.5 / 61),
        4: pytest.approx(0.5 / 62),
    }


def test_equal_scores_share_a_rank():
    fused = fuse([{1: 0.5, 2: 0.5, 3: 0.1}], [1.0])
    assert fused[1] == fused[2] == 1 / (DAMPING + 1) and fused[3] == 1 / (DAMPING + 3)


@given(RANKING)
def test_a_single_ranking_keeps_its_order(scores):
    fused = fuse([scores], [1.0])
    assert fused.keys() == scores.keys()
    for one in scores:
        for two in scores:
            assert (scores[one] > scores[two]) == (fused[one] > fused[two])


@given(RANKING, RANKING)
def test_the_order_of_rankings_means_nothing(first, second):
    assert fuse([first, second], [1, 1]) == pytest.approx(fuse([second, first], [1, 1]))
