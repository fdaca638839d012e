"""Measures of rankings against examples worked by hand, and laws that they keep."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsearch.evaluation.ranking_metrics import (
    MEASURES,
    found_at,
    judge,
    ndcg,
    paired_bootstrap,
    r_precision,
    reciprocal_rank,
)

# By hand


@pytest.mark.parametrize(
    ("ranks", "relevant", "expected"),
    [
        # recall@1, @5, @10, reciprocal rank, R-precision, nDCG@10
        ([1], 1, (1, 1, 1, 1, 1, 1)),
        ([2], 1, (0, 1, 1, 1 / 2, 0, 1 / math.log2(3))),
        ([6], 1, (0, 0, 1, 1 / 6, 0, 1 / math.log2(7))),
        ([11], 1, (0, 0, 0, 1 / 11, 0, 0)),
        ([], 1, (0, 0, 0, 0, 0, 0)),
        # 1 and 1/log2(4) = 0.5 of at most 1 + 1/log2(3) + 0.5
        ([1, 3], 3, (1, 1, 1, 1, 2 / 3, 1.5 / (1.5 + 1 / math.log2(3)))),
        # the third one was never found
        ([2, 3], 3, (0, 1, 1, 1 / 2, 2 / 3, (1 / math.log2(3) + 0.5) / (1.5 + 1 / math.log2(3)))),
        # more relevant ones than nDCG looks at: the first ten places are the best possible
        (list(range(1, 13)), 12, (1, 1, 1, 1, 1, 1)),
    ],
)
def test_worked_by_hand(ranks, relevant, expected):
    assert judge(ranks, relevant) == pytest.approx(expected)
    assert len(expected) == len(MEASURES)


def test_a_published_example_of_ndcg():
    """Gains 1 0 1 1 0 in five places, three relevant: DCG = 1 + 1/2 + 1/log2(5)."""
    best = 1 + 1 / math.log2(3) + 1 / 2
    assert ndcg([1, 3, 4], 3, 5) == pytest.approx((1.5 + 1 / math.log2(5)) / best)


def test_the_bootstrap_by_hand():
    """Two queries, differences 0 and 1: a resample has mean 0, 1/2 or 1 with odds 1 : 2 : 1."""
    found = paired_bootstrap(np.array([0.0, 0.0]), np.array([0.0, 1.0]), confidence=0.4)
    assert (found.mean, found.low, found.high) == (0.5, 0.5, 0.5)
    wide = paired_bootstrap(np.array([0.0, 0.0]), np.array([0.0, 1.0]), confidence=0.9)
    assert (wide.low, wide.high) == (0.0, 1.0)
    assert not wide.clear


def test_the_interval_covers_what_it_should():
    """Of 200 samples with true mean 0.1, the 90 % interval holds it about 180 times."""
    rng = np.random.default_rng(5)
    held = 0
    for seed in range(200):
        values = rng.normal(0.1, 1, 60)
        found = paired_bootstrap(np.zeros(60), values, 500, 0.9, seed)
        held += found.low <= 0.1 <= found.high
    assert 165 <= held <= 192


# Laws

ranks = st.lists(st.integers(1, 60), unique=True, max_size=12)
judged = st.tuples(ranks, st.integers(0, 5)).map(lambda t: (t[0], max(1, len(t[0]) + t[1])))
values = st.lists(st.floats(0, 1), min_size=1, max_size=20).map(np.array)


@given(judged)
def test_all_measures_lie_between_0_and_1(case):
    assert all(0 <= value <= 1 + 1e-12 for value in judge(*case))


@given(judged)
def test_the_order_of_the_ranks_does_not_matter(case):
    found, relevant = case
    assert judge(found, relevant) == judge(found[::-1], relevant)


@given(judged)
def test_a_picture_that_moves_up_harms_no_measure(case):
    found, relevant = case
    for i, rank in enumerate(found):
        if rank > 1 and rank - 1 not in found:
            better = judge([*found[:i], rank - 1, *found[i + 1 :]], relevant)
            pairs = zip(better, judge(found, relevant), strict=True)
            assert all(up >= down - 1e-12 for up, down in pairs)


@given(st.integers(1, 30))
def test_a_perfect_ranking_has_1_everywhere(relevant):
    assert judge(range(1, relevant + 1), relevant) == pytest.approx([1] * len(MEASURES))


@given(st.integers(1, 60))
def test_with_one_relevant_picture_r_precision_is_recall_at_1(rank):
    assert r_precision([rank], 1) == found_at([rank], 1)
    assert reciprocal_rank([rank]) <= found_at([rank], rank)


@given(values, st.integers(0, 5))
def test_the_bootstrap_is_antisymmetric_and_seeded(a, seed):
    b = a[::-1].copy()
    there, back = paired_bootstrap(a, b, 200, seed=seed), paired_bootstrap(b, a, 200, seed=seed)
    assert there == paired_bootstrap(a, b, 200, seed=seed)
    assert (there.mean, there.low) == pytest.approx((-back.mean, -back.high))
    assert there.low - 1e-12 <= there.high


@given(values)
def test_no_difference_is_no_difference(a):
    found = paired_bootstrap(a, a, 50)
    assert (found.mean, found.low, found.high, found.clear) == (0, 0, 0, False)


@given(values)
def test_a_constant_gain_is_clear(a):
    found = paired_bootstrap(a, a + 0.25, 50)
    assert (found.low, found.high) == (pytest.approx(0.25), pytest.approx(0.25))
    assert found.clear
