"""Lines of density: the share of the pictures inside a level is the one that it promises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgsearch.curation.density import (
    MIN_IMAGES,
    REACH,
    SHARES,
    DensityLevel,
    density_levels,
    level_to_plain,
)
from imgsearch.curation.map import inside
from tests.conftest import examples


def hills(count: int, middles: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    places = rng.uniform(-0.8, 0.8, (middles, 2))
    points = places[rng.integers(0, middles, count)] + rng.normal(0, 0.06, (count, 2))
    return np.clip(points, -1, 1).astype(np.float32)


def held(level: DensityLevel, positions: np.ndarray) -> np.ndarray:
    """Which points lie inside an odd number of the lines."""
    odd = np.zeros(len(positions), np.bool_)
    for line in level.lines:
        odd[inside(np.arange(len(positions)), positions, line)] ^= True
    return odd


@settings(max_examples=examples(40), deadline=None)
@given(st.integers(200, 5000), st.integers(1, 9), st.integers(0, 1000))
def test_levels_hold_their_share_and_lie_in_each_other(count, middles, seed):
    positions = hills(count, middles, seed)
    levels = density_levels(positions)
    assert [level.share for level in levels] == list(SHARES)
    around = np.ones(count, np.bool_)
    for level in levels:
        now = held(level, positions)
        assert now.mean() > level.share - 0.05, "a picture lies where the density is"
        assert not (now & ~around).any()
        assert all(line[0] == line[-1] and len(line) > 3 for line in level.lines)
        assert all(abs(value) < REACH for line in level.lines for point in line for value in point)
        around = now


def test_each_hill_has_a_line_of_its_own():
    middles = np.array([(-0.7, -0.7), (0.7, -0.6), (0.0, 0.7)])
    offsets = np.random.default_rng(1).normal(0, 0.03, (900, 2))
    positions = (np.repeat(middles, 300, axis=0) + offsets).astype(np.float32)
    innermost = density_levels(positions)[-1]
    assert len(innermost.lines) == 3
    found = sorted(tuple(np.round(np.mean(line, axis=0), 1)) for line in innermost.lines)
    assert found == sorted(tuple(np.round(each, 1)) for each in middles)


@pytest.mark.parametrize(
    "positions",
    [
        np.zeros((0, 2), np.float32),
        hills(MIN_IMAGES - 1, 2),
        np.zeros((50, 2), np.float32),
        np.stack([np.linspace(-1, 1, 50), np.zeros(50)], axis=1).astype(np.float32),
    ],
    ids=["none", "few", "one place", "one line"],
)
def test_there_are_none_where_they_would_say_nothing(positions):
    assert density_levels(positions) == ()


def test_a_level_in_plain_values():
    level = DensityLevel(0.6, (((0.0, 0.5), (1.0, 0.0), (0.0, 0.5)),))
    assert level_to_plain(level) == {"share": 0.6, "lines": [[[0.0, 0.5], [1.0, 0.0], [0.0, 0.5]]]}
