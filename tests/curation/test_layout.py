"""Positions of vectors on a plane."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness

from imgsearch.curation.layout import beside, layout
from imgsearch.vectors import normalize
from tests.conftest import full_only
from tests.curation.groups import DIMENSION
from tests.fakes import unit_rows

GROUPS = 12


def grouped(count: int = 8, seed: int = 1):
    """Rows around a number of centres, those of a group one after the other."""
    centres = np.repeat(unit_rows(GROUPS, 0, DIMENSION), count, axis=0)
    noise = np.random.default_rng(seed).normal(size=centres.shape) / DIMENSION**0.5
    return normalize(centres + 0.5 * noise)


def distances(positions):
    return np.linalg.norm(positions[:, None] - positions[None], axis=2)


def test_groups_lie_apart_and_neighbours_stay_neighbours():
    rows = grouped()
    positions = layout(rows)
    found = trustworthiness(rows, positions, n_neighbors=5)
    plain = trustworthiness(rows, PCA(2).fit_transform(rows), n_neighbors=5)
    assert 1 - found < (1 - plain) / 4
    labels = np.repeat(np.arange(GROUPS), 8)
    far = distances(positions)
    np.fill_diagonal(far, np.inf)
    assert (labels[far.argmin(axis=1)] == labels).all()


def test_positions_fill_the_square():
    positions = layout(grouped())
    assert positions.dtype == np.float32 and np.abs(positions).max() == pytest.approx(1)
    middle = (positions.min(axis=0) + positions.max(axis=0)) / 2
    assert np.allclose(middle, 0, atol=1e-6)


def test_the_same_wherever_the_array_lies():
    rows = grouped()
    found = set()
    for offset in range(3):
        moved = np.empty(rows.size + offset, np.float32)[offset:].reshape(rows.shape)
        moved[:] = rows
        found.add(layout(moved).tobytes())
    assert len(found) == 1


SCRIPT = """
from tests.curation.test_layout import grouped
from imgsearch.curation.layout import layout
print(layout(grouped()).tobytes().hex())
"""


@full_only
def test_the_same_in_other_processes_with_any_number_of_threads():
    found = {layout(grouped()).tobytes().hex()}
    for threads in ("1", "7"):
        environment = dict(os.environ, OMP_NUM_THREADS=threads, OPENBLAS_NUM_THREADS=threads)
        command = [sys.executable, "-c", SCRIPT]
        run = subprocess.run(command, env=environment, capture_output=True, check=True, text=True)
        found.add(run.stdout.strip())
    assert len(found) == 1


@pytest.mark.parametrize("count", range(1, 9))
def test_few_pictures_have_places_of_their_own(count):
    positions = layout(unit_rows(count, 5, DIMENSION))
    assert positions.shape == (count, 2) and np.isfinite(positions).all()
    assert np.abs(positions).max() <= 1
    assert len(np.unique(positions, axis=0)) == count


@pytest.mark.parametrize("count", (2, 4, 40))
def test_equal_pictures_share_a_place(count):
    equal = np.repeat(unit_rows(1, 5, DIMENSION), count, axis=0)
    assert not layout(equal).any()


def test_copies_lie_together():
    rows = np.repeat(unit_rows(4, 5, DIMENSION), 10, axis=0)
    far = distances(layout(rows))
    labels = np.repeat(np.arange(4), 10)
    same = labels[:, None] == labels[None]
    assert np.isfinite(far).all() and far[same].max() < far[~same].min()


@pytest.mark.parametrize("dimension", (1, 2, 3))
def test_vectors_of_few_numbers(dimension):
    positions = layout(normalize(np.random.default_rng(0).normal(size=(20, dimension))))
    assert positions.shape == (20, 2) and np.isfinite(positions).all()


def test_a_picture_beside_the_landmarks_lies_among_those_like_it():
    rows = grouped()
    positions = layout(rows)
    new = grouped(3, seed=2)
    places = beside(new, rows, positions)
    near = np.linalg.norm(places[:, None] - positions[None], axis=2).argmin(axis=1)
    assert (near // 8 == np.repeat(np.arange(GROUPS), 3)).mean() > 0.95
    copies = beside(rows[:5], rows, positions)
    assert np.allclose(copies, positions[:5], atol=0.02)
    assert (beside(new, rows[:1], positions[:1]) == positions[0]).all()
