"""Unit rows, embedding spaces, and queries of several terms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsearch.errors import QueryError, SpaceMismatch
from imgsearch.vectors import combine, normalize
from tests.fakes import SPACE, unit_rows

X, Y = np.eye(2, 4, dtype=np.float32)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int32])
def test_normalize(dtype):
    rows = normalize(np.array([[3, 4], [0, 0], [0, -2]], dtype))
    assert rows.dtype == np.float32
    assert rows.flags.c_contiguous
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0, 0], [0, -1]], atol=1e-7)


def test_normalize_no_rows():
    assert normalize(np.empty((0, 5))).shape == (0, 5)


def test_one_term_is_itself():
    rows = unit_rows(1)
    np.testing.assert_allclose(combine([rows[0]], [0.3]), rows, atol=1e-6)


def test_positive_and_negative_weights():
    np.testing.assert_allclose(combine([X, Y], [3, -4]), [[0.6, -0.8, 0, 0]], atol=1e-6)


@given(
    weights=st.lists(st.floats(-1e300, 1e300), min_size=2, max_size=2).filter(lambda w: max(w) > 0)
)
def test_any_finite_weights_give_a_unit_vector(weights):
    query = combine([X, Y], weights)
    assert query.shape == (1, 4)
    assert query.dtype == np.float32
    assert np.linalg.norm(query) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("vectors", "weights", "words"),
    [
        ([X, Y], [-1, -1], "only says what not to find"),
        ([X], [0], "only says what not to find"),
        ([X, Y], [1, np.nan], "not a finite number"),
        ([X, Y], [1, np.inf], "not a finite number"),
        ([X, X], [1, -1], "cancel each other out"),
    ],
)
def test_queries_without_a_vector(vectors, weights, words):
    with pytest.raises(QueryError, match=words):
        combine(vectors, weights)


def test_each_space_differs_from_all_others():
    others = [
        replace(SPACE, **change)
        for change in (
            {"model": "x"},
            {"revision": "x"},
            {"preprocessing": "x"},
            {"dimension": 9},
        )
    ]
    assert len({space.key for space in [SPACE, *others]}) == 5
    SPACE.require(replace(SPACE))
    for other in others:
        with pytest.raises(SpaceMismatch) as caught:
            SPACE.require(other)
        assert str(SPACE) in str(caught.value) and str(other) in str(caught.value)
    assert replace(SPACE, model="\udcff").key
