"""Folding of near-identical pictures, on rankings of our own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsearch.indexes.memory_index import MemoryIndex
from imgsearch.searching.duplicates import (
    NEAR_IDENTICAL,
    NEAR_IDENTICAL_IF_UNMEASURED,
    fold,
    fold_parts,
    leaders_of,
    near_identical,
    vectors_of,
)
from imgsearch.vectors import normalize
from tests.conftest import full_only
from tests.fakes import SPACE, batch, ranking_of, unit_rows

MIN_SIMILARITY = 0.9


def rows_of(angles) -> np.ndarray:
    """Unit vectors in the directions of these angles, in degrees."""
    radians = np.radians(np.asarray(angles, float))
    return np.stack([np.cos(radians), np.sin(radians)], 1).astype(np.float32)


def folded(angles, hashes=None, least: float = MIN_SIMILARITY) -> list[tuple[int, list[int]]]:
    """The pictures 0, 1, ... in this order: those that stay, each with those folded into it."""
    ids = np.arange(len(angles))
    keys = {} if hashes is None else dict(enumerate(hashes))
    ranking = fold(ranking_of(ids), rows_of(angles), keys, least)
    assert set(ranking.folded) <= set(ranking.ids.tolist())
    return [(each, list(ranking.folded_ids(each))) for each in ranking.ids.tolist()]


def test_near_ones_fold_into_the_best():
    # cos 20 deg = 0.94 is near, cos 40 deg = 0.77 is not
    assert folded([0, 90, 20, 95, 180]) == [(0, [2]), (1, [3]), (4, [])]


def test_nearness_is_to_the_one_that_is_shown_and_not_to_another_copy():
    assert folded([0, 20, 40]) == [(0, [1]), (2, [])]


def test_a_picture_goes_to_the_best_place_of_several_that_it_is_near():
    assert folded([0, 30, 18]) == [(0, [2]), (1, [])]


def test_the_same_bytes_fold_whatever_the_vectors_say():
    assert folded([0, 90, 180], ["a", "b", "a"]) == [(0, [2]), (1, [])]
    assert folded([0, 20, 180], ["a", "b", "b"]) == [(0, [1, 2])], "into the one that has the other"


def test_two_exposures_do_not_fold_but_the_same_bytes_do():
    times = np.array([5, 6, 0, 6, 5])
    rows = rows_of([0, 1, 2, 3, 90])
    assert leaders_of(rows, [None] * 5, MIN_SIMILARITY, times).tolist() == [0, 1, 0, 1, 4]
    assert leaders_of(rows, [None] * 5, MIN_SIMILARITY).tolist() == [0, 0, 0, 0, 4]
    assert leaders_of(rows, ["a", "a", None, None, "a"], MIN_SIMILARITY, times).tolist() == [
        0,
        0,
        0,
        3,
        0,
    ]


def test_thousands_of_equal_pictures_fold_into_the_first():
    rows = np.repeat(rows_of([30]), 20_000, axis=0)
    assert not leaders_of(rows, [None] * len(rows), MIN_SIMILARITY).any()


def test_an_empty_ranking():
    assert folded([]) == []


def test_the_threshold_is_that_of_the_model():
    assert near_identical("builtin") == NEAR_IDENTICAL["builtin"]
    assert near_identical("someone/else") == NEAR_IDENTICAL_IF_UNMEASURED
    assert max(NEAR_IDENTICAL.values()) < NEAR_IDENTICAL_IF_UNMEASURED


@given(st.lists(st.tuples(st.integers(0, 359), st.integers(0, 5)), min_size=1, max_size=40))
def test_laws(pictures):
    hashes = [f"{angle} {n}" for angle, n in pictures]
    groups = folded([angle for angle, _ in pictures], hashes)
    members = [each for first, others in groups for each in (first, *others)]
    assert sorted(members) == list(range(len(pictures))), "each picture once"
    firsts = [first for first, _ in groups]
    assert firsts == sorted(firsts), "in rank order"
    rows = rows_of([angle for angle, _ in pictures])
    products = rows[firsts] @ rows[firsts].T
    assert (products[~np.eye(len(firsts), dtype=bool)] < MIN_SIMILARITY + 1e-6).all()
    for first, others in groups:
        assert all(other > first for other in others) and others == sorted(others)
        near = [rows[first] @ rows[i] >= MIN_SIMILARITY - 1e-6 for i in others]
        same = [hashes[i] == hashes[first] for i in others]
        chained = [any(hashes[i] == hashes[j] for j in others if j != i) for i in others]
        assert all(a or b or c for a, b, c in zip(near, same, chained, strict=True))


@pytest.mark.parametrize("least", [-1.0, 1.1])
def test_extremes(least):
    expected = [(0, [1, 2])] if least < 0 else [(0, []), (1, []), (2, [])]
    assert folded([0, 90, 180], least=least) == expected


def test_pictures_without_a_vector_are_zero():
    rows = unit_rows(6)
    index = MemoryIndex("", "library", SPACE)
    index.apply(batch([11, 12, 13, 14, 15, 16], rows))
    found = vectors_of(index, np.array([12, 99, 11], np.int64))
    assert np.array_equal(found, [rows[1], 0 * rows[0], rows[0]])


@full_only
def test_places_far_down_fold_like_those_near_the_top():
    """As the rule says, one by one; there are more than one product of matrices takes."""
    count, numbers = 700, np.random.default_rng(3)
    rows = unit_rows(count)
    for place in range(100, count, 3):
        rows[place] = normalize(rows[[numbers.integers(place)]] + 0.01 * rows[place : place + 1])[0]
    expected: dict[int, list[int]] = {}
    for place in range(count):
        first = next((each for each in expected if rows[each] @ rows[place] >= 0.98), None)
        if first is None:
            expected[place] = []
        else:
            expected[first].append(place)
    assert any(others and others[-1] - place > 300 for place, others in expected.items())
    whole = ranking_of(np.arange(count))
    ranking = fold(whole, rows, {}, 0.98)
    assert {key: list(ranking.folded_ids(key)) for key in ranking.ids.tolist()} == expected
    ranking = fold(whole, rows[:500], {}, 0.98)
    assert [key for key in ranking.ids.tolist() if key >= 500] == list(range(500, count))


def parts_of(ranking) -> list[tuple[int, list[int]]]:
    return [(each, list(ranking.part_ids(each))) for each in ranking.ids.tolist()]


SHOTS = {1: (1, 2), 2: (1, 2), 5: (5, 6, 7), 6: (5, 6, 7), 7: (5, 6, 7)}


def test_the_files_of_a_shot_share_the_best_of_their_places():
    found = fold_parts(
        ranking_of(np.array([7, 3, 2, 5, 1, 4]), [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]), SHOTS
    )
    assert parts_of(found) == [(7, [5, 6]), (3, []), (2, [1]), (4, [])]
    assert found.scores.tolist() == pytest.approx([0.9, 0.8, 0.7, 0.4])
    assert len(found.named) == len(found.strengths) == 4


def test_a_list_by_date_shows_the_most_viewable_file():
    ranking = replace(ranking_of(np.array([7, 3, 2, 5, 1])), by_date=True)
    assert parts_of(fold_parts(ranking, SHOTS)) == [(5, [6, 7]), (3, []), (1, [2])]
    raws = replace(ranking_of(np.array([7, 2])), by_date=True)
    assert parts_of(fold_parts(raws, SHOTS)) == [(7, [5, 6]), (2, [1])], "those that passed"


def test_shots_of_other_pictures_and_empty_rankings():
    assert parts_of(fold_parts(ranking_of(np.array([3, 4])), SHOTS)) == [(3, []), (4, [])]
    assert parts_of(fold_parts(ranking_of(np.array([], np.int64)), SHOTS)) == []
