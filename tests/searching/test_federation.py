"""Rankings of several models in one: worked by hand, and its laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsearch.indexes.memory_index import MemoryIndex
from imgsearch.searching.federation import ModelRanking, federate
from tests.fakes import SPACE, batch, ranking_of, unit_rows

RANKING = st.lists(st.integers(1, 20), unique=True, max_size=20)


def part(ids: list[int], known: list[int], **values: list[float]) -> ModelRanking:
    index = MemoryIndex("", "library", SPACE)
    index.apply(batch(known, unit_rows(len(known))))
    return ModelRanking(ranking_of(np.array(ids, np.int64), **values), index)


def test_by_hand():
    """The second model knows 2 of 5: its best counts as rank 2, its second as rank 4."""
    present = part([1, 2, 3, 4, 5], [1, 2, 3, 4, 5], scores=[0.9, 0.8, 0.7, 0.6, 0.5])
    later = part([4, 1], [1, 4], scores=[0.3, 0.2], strengths=[0.5, 0.4])
    fused = federate([present, later], 5)
    expected = {
        1: (1 / 61 + 1 / 64) / 2,
        2: 1 / 62,
        3: 1 / 63,
        4: (1 / 64 + 1 / 62) / 2,
        5: 1 / 65,
    }
    order = sorted(expected, key=lambda each: -expected[each])
    assert fused.ids.tolist() == order
    values = dict(zip(fused.ids.tolist(), fused.scores.tolist(), strict=True))
    assert values == pytest.approx({1: 0.9, 2: 0.8, 3: 0.7, 4: 0.6, 5: 0.5}), "of the first model"
    strengths = dict(zip(fused.ids.tolist(), fused.strengths.tolist(), strict=True))
    assert strengths[4] == 0.5 and np.isnan(strengths[2])


def test_what_a_model_knows_and_leaves_out_falls_behind():
    present = part([1, 2, 3], [1, 2, 3])
    later = part([2, 3], [1, 2, 3])
    assert federate([present, later], 3).ids.tolist() == [2, 3, 1]


def test_a_limit_cuts_the_end_and_says_so():
    parts = [part([1, 2, 3], [1, 2, 3]), part([3, 2, 1], [1, 2, 3])]
    whole = federate(parts, 3)
    cut = federate(parts, 2)
    assert cut.ids.tolist() == whole.ids.tolist()[:2]
    assert whole.complete and not cut.complete


@given(RANKING)
def test_models_that_agree_change_nothing(ids):
    known = list(range(1, 21))
    assert federate([part(ids, known), part(ids, known)], 20).ids.tolist() == ids


@given(RANKING, RANKING)
def test_each_picture_comes_once(one, other):
    known = list(range(1, 21))
    fused = federate([part(one, known), part(other, known)], 40).ids.tolist()
    assert len(set(fused)) == len(fused) and set(fused) == {*one, *other}
