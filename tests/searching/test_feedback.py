"""Rocchio's formula on the terms of a query."""

from __future__ import annotations

import numpy as np
import pytest

from imgsearch.searching.feedback import ALPHA, BETA, GAMMA, refined
from imgsearch.searching.request import Term
from imgsearch.vectors import combine

ROWS = np.eye(5, dtype=np.float32)


def total(terms: list[Term]) -> np.ndarray:
    """The weighted sum of the terms, which are all vectors."""
    return np.sum([term.weight * term.vector for term in terms], axis=0)


def test_it_is_the_formula_of_the_book():
    found = refined([Term("a dog", vector=ROWS[0])], [ROWS[1], ROWS[2]], [ROWS[3]])
    assert total(found) == pytest.approx([ALPHA, BETA / 2, BETA / 2, -GAMMA, 0])
    assert (ALPHA, BETA, GAMMA) == (1.0, 0.75, 0.15)
    assert [term.modality for term in found] == ["text", "image", "image", "image"]


def test_a_query_counts_as_a_whole_whatever_its_weights():
    terms = [Term(vector=ROWS[0], weight=6), Term(vector=ROWS[1], weight=2)]
    found = refined([*terms, Term(vector=ROWS[2], weight=-4)], [ROWS[3]], [])
    assert total(found) == pytest.approx([0.75, 0.25, -0.5, 0.75, 0])
    assert total(refined(refined(terms, [ROWS[2]], []), [ROWS[3]], []))[3] == pytest.approx(0.75)


@pytest.mark.parametrize("weight", [1e308, 1e-308])
def test_extreme_weights(weight):
    terms = [Term(vector=row, weight=weight) for row in ROWS[:2]]
    assert total(refined(terms, [ROWS[2]], [])) == pytest.approx([0.5, 0.5, 0.75, 0, 0])


def test_good_pictures_alone_are_a_query_too():
    found = refined([], [ROWS[0]], [])
    vector = combine([each.vector for each in found], [each.weight for each in found])
    assert vector[0] == pytest.approx(ROWS[0])
    assert refined([Term("x", weight=-1)], [ROWS[0]], [])[0].weight == -1
