"""One ranking from several: reciprocal rank fusion.

Cormack, Clarke and Buettcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank
Learning Methods", SIGIR 2009. It needs no common scale of scores, only their order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

DAMPING = 60
"""The constant k of the paper: how little the very first places stand out."""


def fuse(rankings: Sequence[Mapping[int, float]], weights: Sequence[float]) -> dict[int, float]:
    """Sum of weight / (DAMPING + rank) over the rankings that have an id.

    Parameters
    ----------
    rankings : sequence of mapping of id to score
        Higher scores are better. Equal scores share the best of their ranks, so that what ties
        in one ranking is ordered by the others alone.

    Returns
    -------
    dict of id to fused score
    """
    fused: dict[int, float] = {}
    for scores, weight in zip(rankings, weights, strict=True):
        rank, last = 0, None
        for place, (key, score) in enumerate(sorted(scores.items(), key=_by_score), start=1):
            if score != last:
                rank, last = place, score
            fused[key] = fused.get(key, 0.0) + weight / (DAMPING + rank)
    return fused


def _by_score(item: tuple[int, float]) -> tuple[float, int]:
    return -item[1], item[0]
