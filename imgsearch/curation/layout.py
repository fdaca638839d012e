"""Vectors to positions on a map: t-SNE of landmarks, and the other pictures beside them.

The landmarks are all pictures, or a sample of a large library. The steps of the optimization are
those of scikit-learn, in one thread. Neighbours are found with vectors rounded so that float32 adds
up their products exactly, in whatever order: positions depend on the vectors alone, and neither on
the number of threads nor on where an array lies in memory. docs/adr/0039-map.md has the choice and
docs/CURATION.md the measurements.

Source: van der Maaten, "Accelerating t-SNE using Tree-Based Algorithms" (JMLR 15, 2014); Kobak and
Berens, "The art of using t-SNE for single-cell transcriptomics" (Nature Communications 10, 2019)
for the start from principal components.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgsearch.vectors import Embeddings

MAX_LANDMARKS = 5000
"""Pictures that are laid out together."""
MIN_LANDMARKS = 5
"""Fewer pictures lie on their principal components."""
MAX_PERPLEXITY = 30
NEIGHBOURS = 3
"""Landmarks that a picture beside them lies between."""
_STEPS = 2048
"""Components are rounded to multiples of 1/2048. Products of two are multiples of 2^-22, and parts
of an inner product of unit vectors are at most 1, so float32 holds them exactly."""
_NEAREST_SQUARE = 1e-3
"""Least squared distance of two pictures: equal ones share a place, and others have a say."""
_BLOCK_IMAGES = 2048

Positions = NDArray[np.float32]
"""ndarray of shape (n, 2), float32: x and y from -1 to 1."""


def layout(vectors: Embeddings) -> Positions:
    """Positions of pictures of which similar ones lie together; the same for the same vectors.

    Parameters
    ----------
    vectors : ndarray of shape (n, dimension), float32, unit norm
        At most `MAX_LANDMARKS`.
    """
    rows = _rounded(vectors)
    start = _principal(rows)
    if len(rows) < MIN_LANDMARKS or not start.any():
        return _scaled(start)
    return _scaled(_optimized(rows, start))


def beside(vectors: Embeddings, landmarks: Embeddings, positions: Positions) -> Positions:
    """Positions of other pictures: each between the landmarks that are most like it.

    Parameters
    ----------
    vectors : ndarray of shape (n, dimension), float32, unit norm
    landmarks : ndarray of shape (m, dimension), float32, unit norm
    positions : ndarray of shape (m, 2)
        Positions of the landmarks; at least one.
    """
    rows, fixed = _rounded(vectors), _rounded(landmarks)
    squares, near = _nearest(rows, fixed, min(NEIGHBOURS, len(fixed)))
    weights = 1 / np.maximum(squares, _NEAREST_SQUARE) ** 2
    weights /= weights.sum(axis=1, keepdims=True)
    found: Positions = (weights[:, :, None] * positions[near]).sum(axis=1).astype(np.float32)
    return found


def _rounded(vectors: Embeddings) -> Embeddings:
    return (np.round(vectors * _STEPS) / _STEPS).astype(np.float32)


def _principal(rows: Embeddings) -> NDArray[np.float64]:
    """The two principal components of rows, shape (n, 2), with a spread of 1 in the first."""
    from scipy.linalg import eigh

    exact = rows.astype(np.float64)
    total = exact.sum(axis=0)
    centred = exact.T @ exact - np.outer(total, total) / len(rows)
    last = len(centred) - 1
    axes = eigh(centred, subset_by_index=(max(0, last - 1), last))[1][:, ::-1]
    axes *= np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    found = exact @ np.round(axes, 6)
    found -= found.mean(axis=0)
    spread = found[:, 0].std()
    if spread < 1e-3:  # pictures that are all equal, but for rounding
        return np.zeros((len(rows), 2))
    return np.pad(found / spread, ((0, 0), (0, 2 - axes.shape[1])))


def _optimized(rows: Embeddings, start: NDArray[np.float64]) -> NDArray[np.float32]:
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    perplexity = min(MAX_PERPLEXITY, (len(rows) - 1) / 3)
    count = min(len(rows) - 1, int(3 * perplexity + 1))
    with threadpool_limits(1):
        found: NDArray[np.float32] = TSNE(
            perplexity=perplexity,
            init=(1e-4 * start).astype(np.float32),
            metric="precomputed",
            random_state=0,  # nothing is drawn
            n_jobs=1,
        ).fit_transform(_graph(rows, count))
    return found


def _graph(rows: Embeddings, count: int) -> Any:
    """Distances of each row to itself and its nearest neighbours, as scikit-learn takes them."""
    from scipy.sparse import csr_array

    n = len(rows)
    squares, near = _nearest(rows, rows, count + 1, same=True)
    distances = np.sqrt(np.maximum(squares, _NEAREST_SQUARE))
    distances[:, 0] = 0
    ends = np.arange(0, n * (count + 1) + 1, count + 1)
    return csr_array((distances.ravel(), near.ravel(), ends), shape=(n, n))


def _nearest(
    rows: Embeddings, fixed: Embeddings, count: int, same: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Squared distances and places of the nearest fixed rows, nearest first, shape (n, count).

    With `same` both are the same rows, and each is the first neighbour of itself.
    """
    squares = np.empty((len(rows), count))
    near = np.empty((len(rows), count), np.intp)
    for start in range(0, len(rows), _BLOCK_IMAGES):
        block = rows[start : start + _BLOCK_IMAGES]
        products = block @ fixed.T
        own = np.arange(len(block))
        if same:
            products[own, start + own] = 2
        chosen = np.argpartition(-products, count - 1, axis=1)[:, :count]
        best = np.take_along_axis(products, chosen, axis=1)
        order = np.argsort(-best, axis=1, kind="stable")
        near[start : start + len(block)] = np.take_along_axis(chosen, order, axis=1)
        squares[start : start + len(block)] = 2 - 2 * np.take_along_axis(best, order, axis=1)
    return squares, near


def _scaled(found: NDArray[Any]) -> Positions:
    """Positions from -1 to 1, the middle at 0, with the same scale in both directions."""
    low, high = found.min(axis=0), found.max(axis=0)
    half = max(float((high - low).max()) / 2, 1e-9)
    scaled: Positions = ((found - (low + high) / 2) / half).astype(np.float32)
    return scaled
