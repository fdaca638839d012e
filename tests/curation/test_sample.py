"""Samples: the kinds choose what they say, from any vectors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgsearch.curation import sample as module
from imgsearch.curation.sample import KINDS, sample
from imgsearch.errors import QueryError
from imgsearch.vectors import Embeddings, Ids
from tests.conftest import examples
from tests.curation.groups import DIMENSION, around
from tests.fakes import unit_rows


def chosen(vectors: Embeddings, count: int, kind: str, seed: int = 0) -> list[int]:
    """Places of the chosen ones."""
    ids = np.arange(len(vectors)) * 2 + 1

    def read(some: Ids) -> Embeddings:
        return vectors[np.searchsorted(ids, some)]

    return [(each - 1) // 2 for each in sample(ids, read, count, kind, seed)]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=examples(40))
@given(st.integers(0, 40), st.integers(1, 50), st.integers(0, 3), st.booleans())
def test_as_many_as_there_are_and_none_twice(kind, count, wanted, seed, equal):
    vectors = unit_rows(count, seed, DIMENSION)
    if equal and count:
        vectors = np.tile(vectors[:1], (count, 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK_IMAGES", 7)
        found = chosen(vectors, wanted, kind, seed)
    assert len(found) == len(set(found)) == min(count, wanted)
    assert set(found) <= set(range(count))
    assert found == chosen(vectors, wanted, kind, seed), "a seed decides everything"


@pytest.fixture
def three_groups() -> Embeddings:
    """20 dogs, 10 cats, 5 boats, and a picture that is like none, at place 35."""
    groups = [around("dogs", 20), around("cats", 10), around("boats", 5)]
    return np.concatenate([*groups, unit_rows(1, 3, DIMENSION)])


def group_of(place: int) -> int:
    return int(np.searchsorted([20, 30, 35], place, side="right"))


def test_diverse_ones_come_from_all_groups_before_one_comes_twice(three_groups):
    found = [group_of(place) for place in chosen(three_groups, 12, "diverse")]
    assert sorted(found[:4]) == [0, 1, 2, 3]
    assert found[0] == 0, "the most usual one first"


def test_typical_ones_are_in_the_middle_of_groups_the_largest_first(three_groups):
    found = chosen(three_groups, 4, "typical")
    assert [group_of(place) for place in found] == [0, 1, 2, 3]
    dogs = three_groups[:20]
    assert found[0] == (dogs @ dogs.mean(axis=0)).argmax()


def test_the_first_outlier_is_like_none(three_groups):
    assert chosen(three_groups, 1, "outliers") == [35]
    assert {group_of(place) for place in chosen(three_groups, 6, "outliers")} == {2, 3}


def test_another_seed_draws_others(three_groups):
    drawn = {tuple(chosen(three_groups, 5, "random", seed)) for seed in range(5)}
    assert len(drawn) == 5
    spread = np.bincount(
        [p for seed in range(400) for p in chosen(three_groups, 9, "random", seed)]
    )
    assert spread.min() > 60 and spread.max() < 140, "each about 100 times"


def test_large_libraries_are_drawn_from(monkeypatch, three_groups):
    monkeypatch.setattr(module, "MAX_COMPARED_IMAGES", 8)
    monkeypatch.setattr(module, "MAX_TREE_IMAGES", 8)
    for kind in ("diverse", "typical", "outliers"):
        assert len(set(chosen(three_groups, 8, kind))) == 8
    assert len(chosen(three_groups, 20, "diverse")) == 20
    with pytest.raises(QueryError, match="8 typical pictures"):
        chosen(three_groups, 9, "typical")
