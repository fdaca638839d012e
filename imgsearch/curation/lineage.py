"""Matches new clusters with the old ones that they continue, so that ids and names persist."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imgsearch.vectors import Ids

MIN_OVERLAP = 0.3
"""Least Jaccard index of a cluster and the old one that it continues."""


def continued(old: Sequence[Ids], new: Sequence[Ids]) -> dict[int, int]:
    """Map the position of each new cluster to the position of the old one that it continues.

    The total overlap (Jaccard index) of the pairs is as large as possible: the assignment problem,
    Kuhn, Naval Research Logistics Quarterly 2 (1955).

    Parameters
    ----------
    old, new : sequence of ndarray of int64
        Pictures of each cluster; none is in two of the same list.
    """
    from scipy.optimize import linear_sum_assignment

    if not len(old) or not len(new):
        return {}
    common = _common(old, new)
    sizes = np.array([len(ids) for ids in old])[:, None] + [len(ids) for ids in new]
    overlap = common / np.maximum(sizes - common, 1)
    pairs = zip(*linear_sum_assignment(overlap, maximize=True), strict=True)
    return {int(j): int(i) for i, j in pairs if overlap[i, j] >= MIN_OVERLAP}


def _common(old: Sequence[Ids], new: Sequence[Ids]) -> np.ndarray:
    """Numbers of common pictures, shape (old, new)."""
    from scipy.sparse import csr_array

    before, after = (
        (np.concatenate(list(groups)), np.repeat(np.arange(len(groups)), list(map(len, groups))))
        for groups in (old, new)
    )
    _, left, right = np.intersect1d(before[0], after[0], return_indices=True)
    cells = np.ones(len(left), np.int64), (before[1][left], after[1][right])
    counts: np.ndarray = csr_array(cells, shape=(len(old), len(new))).toarray()
    return counts
