"""Groups vectors on two levels: Buckshot, a sampled hierarchy that seeds spherical k-means.

Ward's hierarchy is built over all pictures, or over a sample of a large library, and cut twice, so
that fine groups nest in broad ones. In a large library, all pictures then go to the nearest centre,
and centres move, for a few passes. Source: Cutting, Karger, Pedersen, Tukey, "Scatter/Gather"
(SIGIR 1992); Ward, JASA 58 (1963). docs/adr/0033-clusters.md has the measurements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgsearch.vectors import Embeddings, Ids, normalize

MAX_TREE_IMAGES = 5000
"""Pictures of the hierarchy; a larger library is sampled. Its distances take 100 MB."""
FINE_FACTOR, MAX_FINE = 2.5, 1000
"""Fine groups: this factor times the root of the number of pictures. Broad ones: twice the root of
the number of fine ones."""
MEMBERSHIP_PASSES = 3
"""Passes of k-means over a library that was sampled."""
MAX_CUT_SIMILARITY = 0.95
"""Mean inner product from which pictures are one group, however many groups there could be."""
OUTLIER_DEVIATIONS = 1.0
"""A picture belongs to a group if it is this many standard deviations nearer to the group's
pictures, on average, than two pictures of the library are."""
MAX_PAIRS = 200_000
_BLOCK_IMAGES = 8192
MAX_ROUNDING = 1e-6
"""Cosines that differ by less are equal; the mean of two unit vectors is as near to both."""
OUTLIER = -1

Labels = NDArray[np.intp]
Read = Callable[[Ids], Embeddings]
"""Vectors of shape (ids, dimension), float32, unit norm, of some ids."""


@dataclass(frozen=True, slots=True)
class Partition:
    """Groups of pictures.

    Attributes
    ----------
    ids : ndarray of shape (n,), int64
    labels : ndarray of shape (n,)
        Fine group of each picture, from 0; `OUTLIER` for none.
    broad : ndarray of shape (fine groups,)
        Broad group of each fine one, from 0.
    means : ndarray of shape (fine groups, dimension), float32
        Mean vector of each fine group, not normalized: its inner product with a picture is the mean
        of those with the pictures of the group.
    medoids : ndarray of shape (fine groups,), int64
        Id of the picture nearest to the mean of each fine group.
    threshold : float
        Least mean inner product of a picture with the others of its group.
    """

    ids: Ids
    labels: Labels
    broad: Labels
    means: Embeddings
    medoids: Ids
    threshold: float


def partition(ids: Ids, read: Read, seed: int = 0) -> Partition:
    """Divide pictures into groups; the same for the same vectors and seed.

    Parameters
    ----------
    ids : ndarray of shape (n,), int64, sorted
        At least two.
    seed : int
        Seed of the sample; without effect on a library of `MAX_TREE_IMAGES` or fewer.
    """
    rng = np.random.default_rng(seed)
    sampled = ids
    if len(ids) > MAX_TREE_IMAGES:
        sampled = np.sort(rng.choice(ids, MAX_TREE_IMAGES, replace=False))
    vectors = read(sampled)
    threshold = _threshold(vectors)
    fine, broad = _cut(vectors, len(ids))
    labels = fine
    if len(sampled) < len(ids):
        labels = _k_means(ids, read, _means(vectors, fine, len(broad)))
    sums, counts = _sums(ids, read, labels, len(broad))
    labels = _without_outliers(ids, read, labels, sums, counts, threshold)
    labels, kept = _numbered(labels)
    broad = np.unique(broad[kept], return_inverse=True)[1]
    sums, counts = _sums(ids, read, labels, len(kept))
    means = (sums / counts[:, None]).astype(np.float32)
    return Partition(ids, labels, broad, means, _medoids(ids, read, labels, means), threshold)


def nearest(vectors: Embeddings, means: Embeddings, threshold: float) -> Labels:
    """The group of each picture that joins existing groups: `OUTLIER` if none is near enough.

    Parameters
    ----------
    vectors : ndarray of shape (n, dimension), float32, unit norm
    means, threshold
        As in `Partition`.
    """
    if not len(means):
        return np.full(len(vectors), OUTLIER)
    labels = (vectors @ normalize(means).T).argmax(axis=1)
    near = np.einsum("ij,ij->i", vectors, means[labels]) >= threshold
    return np.where(near, labels, OUTLIER)


def _threshold(vectors: Embeddings) -> float:
    """A score just above that of unrelated pictures of this library."""
    order = np.random.default_rng(0).permutation(len(vectors))
    shuffled, n = vectors[order], len(vectors)
    shifts = range(1, min(n, 1 + max(1, MAX_PAIRS // n)))
    scores = [np.einsum("ij,ij->i", shuffled, np.roll(shuffled, each, axis=0)) for each in shifts]
    middle, upper = np.quantile(np.concatenate(scores), (0.5, 0.95))
    return min(
        float(middle + OUTLIER_DEVIATIONS * (upper - middle) / 1.6449), MAX_CUT_SIMILARITY - 0.01
    )


def _cut(vectors: Embeddings, count: int) -> tuple[Labels, Labels]:
    """Fine groups of the sample, and the broad group of each, from Ward's hierarchy."""
    from scipy.cluster.hierarchy import fcluster, linkage

    n = len(vectors)
    tree = linkage(distances(vectors), "ward")
    fine_count = min(max(1, round(FINE_FACTOR * count**0.5)), MAX_FINE, n)
    broad_count = min(round(2 * fine_count**0.5), fine_count)
    least = (2 - 2 * MAX_CUT_SIMILARITY) ** 0.5
    cuts = []
    for groups in (fine_count, broad_count):
        height = tree[n - groups - 1, 2] if groups < n else 0.0
        cuts.append(fcluster(tree, max(height, least), "distance") - 1)
    fine, broad = cuts
    broad_of = np.zeros(fine.max() + 1, np.intp)
    broad_of[fine] = broad
    return fine.astype(np.intp), broad_of


def distances(vectors: Embeddings) -> NDArray[np.float64]:
    """Euclidean distances of all pairs, in the form that SciPy's linkage takes."""
    from scipy.spatial.distance import squareform

    squares = np.maximum(2 - 2 * (vectors @ vectors.T), 0)
    np.fill_diagonal(squares, 0)
    condensed: NDArray[np.float64] = squareform(squares, checks=False).astype(np.float64)
    return np.sqrt(condensed, out=condensed)


def _k_means(ids: Ids, read: Read, means: Embeddings) -> Labels:
    labels = np.zeros(len(ids), np.intp)
    for number in range(MEMBERSHIP_PASSES):
        centres = normalize(means).T
        for place, vectors in _blocks(ids, read):
            labels[place] = (vectors @ centres).argmax(axis=1)
        if number < MEMBERSHIP_PASSES - 1:
            sums, counts = _sums(ids, read, labels, len(means))
            means = np.where(counts[:, None] > 0, sums, means).astype(np.float32)
    return labels


def _without_outliers(
    ids: Ids, read: Read, labels: Labels, sums: NDArray[Any], counts: NDArray[Any], least: float
) -> Labels:
    """The labels; `OUTLIER` for pictures that are alone, or as far from the others of their group
    as from any picture."""
    near = np.zeros(len(ids), np.bool_)
    for place, vectors in _blocks(ids, read):
        own, others = sums[labels[place]], counts[labels[place]] - 1
        total = np.einsum("ij,ij->i", vectors, own) - 1  # without the picture itself
        near[place] = (others > 0) & (total >= least * others)
    alone = np.bincount(labels[near], minlength=len(counts)) < 2
    return np.where(near & ~alone[labels], labels, OUTLIER)


def _numbered(labels: Labels) -> tuple[Labels, Labels]:
    """The labels numbered from 0 without gaps, and the previous number of each."""
    kept = np.unique(labels[labels != OUTLIER])
    numbers = np.searchsorted(kept, labels)
    return np.where(labels == OUTLIER, OUTLIER, numbers), kept


def _means(vectors: Embeddings, labels: Labels, count: int) -> Embeddings:
    sums = np.zeros((count, vectors.shape[1]))
    np.add.at(sums, labels, vectors)
    return sums.astype(np.float32)


def _sums(
    ids: Ids, read: Read, labels: Labels, count: int
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Sum of the vectors of each group, shape (count, dimension), and its number of pictures."""
    from scipy.sparse import csr_array

    counts = np.bincount(labels[labels != OUTLIER], minlength=count)
    sums: NDArray[np.float64] | None = None
    for place, vectors in _blocks(ids, read):
        inside = np.flatnonzero(labels[place] != OUTLIER)
        cells = np.ones(len(inside)), (labels[place][inside], inside)
        part = csr_array(cells, shape=(count, len(vectors))) @ vectors.astype(np.float64)
        sums = part if sums is None else sums + part
    assert sums is not None
    return sums, counts


def _medoids(ids: Ids, read: Read, labels: Labels, means: Embeddings) -> Ids:
    """The picture nearest to each mean. Of those that differ by rounding alone, as both pictures of
    a pair do, the one with the lowest id."""
    scores = np.full(len(ids), -np.inf)
    for place, vectors in _blocks(ids, read):
        inside = np.flatnonzero(labels[place] != OUTLIER)
        of_group = means[labels[place][inside]]
        scores[place][inside] = np.einsum("ij,ij->i", vectors[inside], of_group)
    inside = np.flatnonzero(labels != OUTLIER)
    best = np.full(len(means), -np.inf)
    np.maximum.at(best, labels[inside], scores[inside])
    nearest = inside[scores[inside] >= best[labels[inside]] - MAX_ROUNDING]
    _, first = np.unique(labels[nearest], return_index=True)  # `ids` is sorted
    medoids: Ids = ids[nearest[first]]
    return medoids


def _blocks(ids: Ids, read: Read) -> Iterator[tuple[slice, Embeddings]]:
    for start in range(0, len(ids), _BLOCK_IMAGES):
        place = slice(start, start + _BLOCK_IMAGES)
        yield place, read(ids[place])
