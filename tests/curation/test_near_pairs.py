"""Parts of pictures that hang together, against all pairs computed at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsearch.curation import near_pairs
from imgsearch.curation.near_pairs import Parts, join_near
from imgsearch.vectors import normalize
from tests.fakes import unit_rows

MIN_SIMILARITY = 0.95


def rows_with_copies(count: int, seed: int, dimension: int = 32) -> np.ndarray:
    """Unit rows; each odd one is near the one before it."""
    rows = unit_rows(count, seed, dimension)
    rows[1::2] = normalize(rows[::2][: count // 2] + 0.1 * rows[1::2])
    return rows


def parts_of(rows: np.ndarray, new: np.ndarray | None = None, known: Parts | None = None):
    ids = np.arange(len(rows)) * 3 + 1
    new = np.ones(len(rows), bool) if new is None else new
    parts = known or Parts(ids)

    def others():
        yield ids[~new], rows[~new]

    join_near(parts, ids[new], rows[new].astype(np.float16), others, MIN_SIMILARITY)
    return parts


def expected(rows: np.ndarray) -> list[frozenset[int]]:
    """Components by following all near pairs."""
    near = rows @ rows.T >= MIN_SIMILARITY
    reached = near.copy()
    for _ in range(len(rows)):
        reached = (reached.astype(int) @ near.astype(int)) > 0
    return sorted({frozenset(np.flatnonzero(row).tolist()) for row in reached}, key=min)


def components(parts: Parts) -> list[frozenset[int]]:
    labels = parts.labels()
    return sorted(
        (frozenset(np.flatnonzero(labels == each).tolist()) for each in np.unique(labels)), key=min
    )


@given(st.lists(st.integers(0, 359), min_size=1, max_size=40), st.integers(1, 7))
def test_parts_are_the_components_of_near_pairs(angles, tile):
    radians = np.radians(np.array(angles) // 30 * 30 + np.array(angles) % 30 / 30)
    rows = np.stack([np.cos(radians), np.sin(radians)], 1).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_pairs, "TILE_ROWS", tile)
        patch.setattr(near_pairs, "MAX_PENDING_PAIRS", 3)
        patch.setattr(near_pairs, "MAX_TILE_PAIRS", 2)
        assert components(parts_of(rows)) == expected(rows)


@given(st.integers(0, 1000), st.integers(1, 59))
def test_new_pictures_join_those_that_were_there(seed, since):
    rows = rows_with_copies(60, seed)
    order = np.random.default_rng(seed).permutation(60)
    rows = rows[order]
    first = np.arange(60) < since
    known = Parts(np.arange(60) * 3 + 1)
    join_near(
        known, known.ids[first], rows[first].astype(np.float16), lambda: iter(()), MIN_SIMILARITY
    )
    assert components(parts_of(rows, ~first, known)) == components(parts_of(rows))


def test_lists_find_what_all_pairs_find(monkeypatch):
    rows = rows_with_copies(3000, seed=1)
    exact = components(parts_of(rows))
    assert len(exact) == 1500
    monkeypatch.setattr(near_pairs, "MAX_EXACT_PRODUCTS", 0)
    assert components(parts_of(rows)) == exact


def test_thousands_of_equal_pictures_cost_as_one(monkeypatch):
    compared = []
    tiles = near_pairs._join_tiles
    monkeypatch.setattr(
        near_pairs, "_join_tiles", lambda *a: (compared.append(len(a[1]) * len(a[4])), tiles(*a))
    )
    rows = np.repeat(unit_rows(1, 0, 16), 20_000, axis=0)
    assert len(np.unique(parts_of(rows).labels())) == 1
    assert sum(compared) == 1


def test_thousands_of_near_pictures_take_bounded_memory():
    noise = 0.01 * unit_rows(5000, 1, 16)
    rows = normalize(unit_rows(1, 0, 16) + noise)
    assert len(np.unique(parts_of(rows).labels())) == 1


def test_no_pictures():
    parts = parts_of(np.empty((0, 8), np.float32))
    assert [len(each) for each in parts.linked()] == [0, 0]


def test_linked_pictures_have_the_lowest_id_of_their_part():
    ids, labels = parts_of(rows_with_copies(4, 0)).linked()
    assert ids.tolist() == [1, 4, 7, 10]
    assert labels.tolist() == [1, 1, 7, 7]
