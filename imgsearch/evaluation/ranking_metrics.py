"""Measures of a ranking's quality, and comparison of two rankings; uses only NumPy.

All measures take the ranks of the relevant pictures (1 is the best) and the number of relevant
pictures. Relevance is binary. A relevant picture that was not found has no rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
"""ndarray of shape (queries,), float64: one measure per query."""

MEASURES = ("recall_at_1", "recall_at_5", "recall_at_10", "mrr", "r_precision", "ndcg_at_10")
"""The results of `judge` for a query; the mean over queries is the figure of a set."""


def judge(ranks: Sequence[int], relevant: int) -> tuple[float, ...]:
    """The `MEASURES` of one query.

    Parameters
    ----------
    ranks : sequence of int
        Ranks of the relevant pictures that were found, at least 1, all different.
    relevant : int
        Number of relevant pictures, at least `len(ranks)` and at least 1.
    """
    return (
        *(found_at(ranks, depth) for depth in (1, 5, 10)),
        reciprocal_rank(ranks),
        r_precision(ranks, relevant),
        ndcg(ranks, relevant, 10),
    )


def found_at(ranks: Sequence[int], depth: int) -> float:
    """1 if a relevant picture is among the first `depth`, else 0.

    Its mean is the recall@k of papers on searching pictures by captions (Karpathy and Fei-Fei
    2015). If only one picture is relevant, it is also the textbook recall.
    """
    return float(any(rank <= depth for rank in ranks))


def reciprocal_rank(ranks: Sequence[int]) -> float:
    """1 / the best rank, or 0 if nothing was found; its mean is the MRR (Voorhees 1999)."""
    return 1.0 / min(ranks) if ranks else 0.0


def r_precision(ranks: Sequence[int], relevant: int) -> float:
    """The share of relevant pictures among the first R, if R pictures are relevant."""
    return sum(rank <= relevant for rank in ranks) / relevant


def ndcg(ranks: Sequence[int], relevant: int, depth: int) -> float:
    """Discounted cumulative gain of the first `depth`, as a share of the best possible one.

    A relevant picture at rank r gains 1 / log2(1 + r) (Järvelin and Kekäläinen 2002, with the
    discount of Burges et al. 2005).
    """
    best = _gain(range(1, min(relevant, depth) + 1))
    return _gain([rank for rank in ranks if rank <= depth]) / best


def _gain(ranks: Sequence[int]) -> float:
    return float((1.0 / np.log2(1.0 + np.sort(np.asarray(ranks, np.float64)))).sum())


@dataclass(frozen=True, slots=True)
class Difference:
    """The mean of b - a over queries, and its interval; b is better if `low` > 0."""

    mean: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """True if zero lies outside the interval."""
        return self.low > 0 or self.high < 0


def paired_bootstrap(
    a: Values, b: Values, rounds: int = 10_000, confidence: float = 0.95, seed: int = 0
) -> Difference:
    """The mean difference b - a on the same queries, with its percentile interval.

    The queries are resampled with replacement `rounds` times, and the mean of the differences is
    computed each time (Efron 1979; for retrieval measures Sakai 2006, and Smucker, Allan and
    Carterette 2007). The same seed gives the same interval.

    Parameters
    ----------
    a, b : ndarrays of shape (queries,), float64
        Element i of both belongs to the same query. At least one query.
    confidence : float
        Between 0 and 1.
    """
    differences = np.asarray(b, np.float64) - np.asarray(a, np.float64)
    means = _resampled_means(differences, rounds, np.random.default_rng(seed))
    tail = 50 * (1 - confidence)
    low, high = np.percentile(means, [tail, 100 - tail])
    return Difference(float(differences.mean()), float(low), float(high))


def _resampled_means(values: Values, rounds: int, rng: np.random.Generator) -> Values:
    """Means of `rounds` samples with replacement, drawn in pieces of bounded size."""
    count = len(values)
    step = max(1, 2_000_000 // count)
    pieces = [
        values[rng.integers(0, count, (min(step, rounds - start), count))].mean(axis=1)
        for start in range(0, rounds, step)
    ]
    return np.concatenate(pieces)
