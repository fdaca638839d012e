"""Folding of near-identical hits, on rankings of our own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsearch.records import Hit, ImageFile, ImageMetadata, ImageRecord, Query, Term
from imgsearch.searching.duplicates import NEAR_IDENTICAL, UNMEASURED, near_identical, search_folded

LEAST = 0.9
QUERY = [Term(text="x")]


class Ranking:
    """Pictures in a fixed order; picture i points into the direction `angles[i]` (degrees)."""

    def __init__(self, angles, hashes=None):
        self.angles = np.radians(np.asarray(angles, float))
        self.hashes = hashes or [f"hash {i}" for i in range(len(angles))]
        self.limits = []

    def search(self, query: Query) -> list[Hit]:
        self.limits.append(query.limit)
        metadata = ImageMetadata(4, 3, "JPEG")
        return [
            Hit(i + 1, 1 - i / 100, ImageRecord(i, ImageFile("/", f"{i}.jpg", 1, 1), h, metadata))
            for i, h in enumerate(self.hashes[: query.limit])
        ]

    def vectors(self, ids):
        return np.stack([np.cos(self.angles[ids]), np.sin(self.angles[ids])], 1).astype(np.float32)

    def folded(self, limit: int, least: float = LEAST) -> list[tuple[int, list[int]]]:
        hits = search_folded(self.search, self.vectors, Query(QUERY, limit), least)
        assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
        return [(hit.image.id, [each.id for each in hit.duplicates]) for hit in hits]


def test_near_ones_fold_into_the_best():
    # cos 20 deg = 0.94 is near, cos 40 deg = 0.77 is not
    assert Ranking([0, 90, 20, 95, 180]).folded(5) == [(0, [2]), (1, [3]), (4, [])]


def test_nearness_is_to_the_one_that_is_shown_and_not_to_another_copy():
    assert Ranking([0, 20, 40]).folded(3) == [(0, [1]), (2, [])]


def test_a_hit_goes_to_the_nearest_of_several():
    assert Ranking([0, 30, 18]).folded(3) == [(0, []), (1, [2])]


def test_the_same_bytes_fold_whatever_the_vectors_say():
    ranking = Ranking([0, 90, 180], ["a", "b", "a"])
    assert ranking.folded(3) == [(0, [2]), (1, [])]


def test_there_are_as_many_as_were_asked_for():
    angles = [0] * 50 + [90] * 50 + [180] * 50 + [270]
    ranking = Ranking(angles)
    found = ranking.folded(3)
    assert [first for first, _ in found] == [0, 50, 100]
    assert [len(others) for _, others in found] == [49, 49, 49]
    assert ranking.limits == [12, 24, 48, 96, 192], "until all copies of the last one have come"


def test_one_search_is_enough_where_nothing_folds():
    ranking = Ranking(np.arange(0, 360, 30))
    assert len(ranking.folded(2)) == 2
    assert ranking.limits == [8]


def test_nothing_found():
    ranking = Ranking([])
    ranking.vectors = lambda ids: np.empty((0, 2), np.float32)
    assert ranking.folded(5) == []


def test_the_threshold_is_that_of_the_model():
    assert near_identical("builtin") == NEAR_IDENTICAL["builtin"]
    assert near_identical("someone/else") == UNMEASURED > max(NEAR_IDENTICAL.values())


@given(
    st.lists(st.tuples(st.integers(0, 359), st.integers(0, 5)), min_size=1, max_size=40),
    st.integers(1, 12),
)
def test_laws(pictures, limit):
    ranking = Ranking([a for a, _ in pictures], [f"{a} {h}" for a, h in pictures])
    found = ranking.folded(limit)
    everything = ranking.folded(len(pictures))
    assert [first for first, _ in found] == [first for first, _ in everything[:limit]]
    members = [each for first, others in everything for each in (first, *others)]
    assert sorted(members) == list(range(len(pictures))), "each picture once"
    firsts = [first for first, _ in everything]
    assert firsts == sorted(firsts), "in rank order"
    rows = ranking.vectors(np.arange(len(pictures)))
    shown = rows[firsts]
    products = shown @ shown.T
    assert (products[~np.eye(len(firsts), dtype=bool)] < LEAST + 1e-6).all()
    for first, others in everything:
        assert all(other > first for other in others)
        near = [rows[first] @ rows[i] >= LEAST - 1e-6 for i in others]
        same = [ranking.hashes[i] == ranking.hashes[first] for i in others]
        chained = [any(ranking.hashes[i] == ranking.hashes[j] for j in others) for i in others]
        assert all(a or b or c for a, b, c in zip(near, same, chained, strict=True))


@pytest.mark.parametrize("least", [-1.0, 1.1])
def test_extremes(least):
    ranking = Ranking([0, 90, 180])
    assert ranking.folded(3, least) == ([(0, [1, 2])] if least < 0 else [(0, []), (1, []), (2, [])])
