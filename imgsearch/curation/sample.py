"""Chooses a few pictures: at random, diverse, typical, or unlike all others."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from imgsearch.curation.partition import MAX_TREE_IMAGES, Read, distances
from imgsearch.errors import QueryError
from imgsearch.vectors import Embeddings, Ids

Kind = Literal["random", "diverse", "typical", "outliers"]
KINDS: tuple[str, ...] = get_args(Kind)
MAX_COMPARED_IMAGES = 50_000
"""Maximum number of pictures to choose from; from more, this many are drawn first."""
NEIGHBOURS = 10
"""Nearest pictures whose likeness measures how usual a picture is."""
_BLOCK_IMAGES = 256
_DECIMALS = 5
"""Decimals of an inner product that are compared. Its last bits depend on the position of its
operands in memory; the order of equal pictures must not."""


def sample(
    ids: Ids, read: Read | None, count: int, kind: Kind = "random", seed: int = 0
) -> list[int]:
    """Ids of some pictures; all of them if there are no more than `count`.

    Parameters
    ----------
    ids : ndarray of shape (n,), int64, sorted
    read : callable or None
        Returns the vectors of ids, shape (ids, dimension), float32, unit norm; None for "random".
    kind : {"random", "diverse", "typical", "outliers"}
        diverse: each picture as far as possible from those before it, the most usual one first
        (farthest-point traversal, Gonzalez, Theoretical Computer Science 38 (1985)).
        typical: the medoids of `count` groups of Ward's hierarchy, that of the largest group first.
        outliers: the pictures with the least mean inner product with their nearest neighbours
        (after Ramaswamy, Rastogi, Shim, SIGMOD 2000), the most unusual one first.
    seed : int
        Seed of the draw. "diverse", "typical" and "outliers" draw from large libraries only.

    Raises
    ------
    QueryError
        More than `MAX_TREE_IMAGES` typical pictures.
    """
    rng = np.random.default_rng(seed)
    if kind == "random" or read is None:
        return _drawn(rng, ids, count)
    if kind == "typical" and count > MAX_TREE_IMAGES:
        raise QueryError(
            f"there can be {MAX_TREE_IMAGES} typical pictures at most", "Ask for fewer."
        )
    most = MAX_TREE_IMAGES if kind == "typical" else MAX_COMPARED_IMAGES
    ids = np.sort(np.array(_drawn(rng, ids, max(count, most)), np.int64))
    if not len(ids):
        return []
    choose = {"diverse": _diverse, "typical": _typical, "outliers": _outliers}[kind]
    chosen: list[int] = ids[choose(read(ids), min(count, len(ids)))].tolist()
    return chosen


def _drawn(rng: np.random.Generator, ids: Ids, count: int) -> list[int]:
    drawn: list[int] = rng.choice(ids, min(count, len(ids)), replace=False).tolist()
    return drawn


def _most_usual(vectors: Embeddings) -> int:
    """The row that is most like the mean."""
    return int((vectors @ vectors.mean(axis=0)).round(_DECIMALS).argmax())


def _diverse(vectors: Embeddings, count: int) -> list[int]:
    chosen = [_most_usual(vectors)]
    likeness = vectors @ vectors[chosen[0]]
    while len(chosen) < count:
        likeness[chosen[-1]] = np.inf
        chosen.append(int(likeness.round(_DECIMALS).argmin()))
        np.maximum(likeness, vectors @ vectors[chosen[-1]], out=likeness)
    return chosen


def _typical(vectors: Embeddings, count: int) -> list[int]:
    from scipy.cluster.hierarchy import cut_tree, linkage

    if len(vectors) == 1:
        return [0]
    labels = cut_tree(linkage(distances(vectors), "ward"), n_clusters=count)[:, 0]
    groups = [np.flatnonzero(labels == label) for label in range(count)]
    medoids = [
        int(group[_most_usual(vectors[group])]) for group in sorted(groups, key=len, reverse=True)
    ]
    return medoids


def _outliers(vectors: Embeddings, count: int) -> list[int]:
    near = min(NEIGHBOURS + 1, len(vectors))  # the nearest one is the picture itself
    usual = np.empty(len(vectors), np.float32)
    for start in range(0, len(vectors), _BLOCK_IMAGES):
        scores = vectors[start : start + _BLOCK_IMAGES] @ vectors.T
        best = np.partition(scores, len(vectors) - near, axis=1)[:, -near:]
        usual[start : start + _BLOCK_IMAGES] = best.sum(axis=1) - best.max(axis=1)
    chosen: list[int] = np.argsort(usual.round(_DECIMALS), kind="stable")[:count].tolist()
    return chosen
