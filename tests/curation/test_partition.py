"""Groups are a partition, whatever the vectors are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgsearch.curation import partition as module
from imgsearch.curation.partition import OUTLIER, Partition, nearest, partition
from imgsearch.vectors import Embeddings
from tests.conftest import examples
from tests.curation.groups import DIMENSION, around
from tests.fakes import unit_rows


def made(vectors: Embeddings, seed: int = 0) -> Partition:
    ids = np.arange(len(vectors)) * 3 + 5
    return partition(ids, lambda some: vectors[np.searchsorted(ids, some)], seed)


def sound(found: Partition, vectors: Embeddings) -> None:
    """What holds for each partition."""
    groups = len(found.means)
    inside = found.labels[found.labels != OUTLIER]
    counts = np.bincount(inside, minlength=groups)
    assert len(found.labels) == len(vectors) and (counts >= 2).all(), "no empty or lonely group"
    assert len(found.broad) == len(found.medoids) == groups
    assert set(found.broad.tolist()) == set(range(int(found.broad.max(initial=-1)) + 1))
    for number, (mean, medoid) in enumerate(zip(found.means, found.medoids, strict=True)):
        rows = vectors[found.labels == number]
        assert mean == pytest.approx(rows.mean(axis=0), abs=1e-5)
        ids = found.ids[found.labels == number]
        scores = dict(zip(ids.tolist(), rows @ mean, strict=True))
        assert scores[int(medoid)] >= max(scores.values()) - 1e-5, "two alike tie"
        assert len(ids) > 2 or medoid == ids.min(), "the first of a pair"


@settings(max_examples=examples(60))
@given(
    st.integers(2, 60),
    st.integers(1, 8),
    st.floats(0, 1),
    st.integers(0, 5),
    st.sampled_from([7, 5000]),
)
def test_each_picture_is_in_one_group_or_an_outlier(count, centres, spread, seed, tree_images):
    rng = np.random.default_rng(seed)
    middle = unit_rows(centres, seed, DIMENSION)
    noise = unit_rows(count, seed + 1, DIMENSION)
    vectors = middle[rng.integers(0, centres, count)] * (1 - spread) + spread * noise
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_TREE_IMAGES", tree_images)
        patch.setattr(module, "_BLOCK_IMAGES", 11)
        sound(made(vectors), vectors)


@pytest.mark.parametrize("tree_images", [60, 5000])
def test_groups_that_are_far_apart_are_found(monkeypatch, tree_images):
    monkeypatch.setattr(module, "MAX_TREE_IMAGES", tree_images)
    names = ["dogs", "cats", "boats", "hills"]
    vectors = np.concatenate([around(name, 30) for name in names] + [unit_rows(3, 9, DIMENSION)])
    found = made(vectors)
    for start in range(0, 120, 30):
        assert len(set(found.labels[start : start + 30].tolist())) == 1
    assert len(set(found.labels[:120].tolist())) == 4
    assert (found.labels[120:] == OUTLIER).all(), "random pictures are like no others"


@pytest.mark.parametrize("count", [2, 3, 500])
def test_pictures_that_are_all_equal_are_one_group(count):
    found = made(np.tile(unit_rows(1, 0, DIMENSION), (count, 1)))
    assert (found.labels == 0).all() and len(found.means) == 1


def test_two_pictures_that_are_unlike_are_outliers():
    found = made(np.eye(2, DIMENSION, dtype=np.float32))
    assert (found.labels == OUTLIER).all() and found.means.shape == (0, DIMENSION)


def test_a_seed_decides_everything(monkeypatch):
    monkeypatch.setattr(module, "MAX_TREE_IMAGES", 50)
    vectors = np.concatenate([around(f"group {n}", 20, 0.3) for n in range(10)])
    one, same = made(vectors, 1), made(vectors, 1)
    assert (one.labels == same.labels).all() and (one.means == same.means).all()


def test_a_new_picture_joins_by_its_likeness_to_all_of_a_group():
    vectors = np.concatenate([around("dogs", 30), around("cats", 30)])
    found = made(vectors)
    new = np.concatenate([around("cats", 2, start=100), unit_rows(1, 7, DIMENSION)])
    expected = [found.labels[-1], found.labels[-1], OUTLIER]
    assert nearest(new, found.means, found.threshold).tolist() == expected
    nothing = np.empty((0, DIMENSION), np.float32)
    assert nearest(new, nothing, 0.5).tolist() == [OUTLIER] * 3
