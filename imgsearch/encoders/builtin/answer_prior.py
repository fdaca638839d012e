"""The prior of the gate: log-odds that a query has an answer, from the query alone.

`searching.abstention` decides whether a library answers a query at all. It compares the query's
best score with the best scores of unrelated texts. Two facts about the query improve that, and both
are found from its vector:

- A query that names colours, people or light spreads its weight over several blocks, so even the
  right picture scores lower than for a query about a thing alone.
- A query that scores high against pictures that are not in the library at all is vague, or about
  something that the model sees everywhere; its best picture has to score higher to mean anything.

The coefficients were fitted together with those of `searching.abstention` by logistic regression;
`benchmarks/abstention.py` fits them again. docs/STRENGTH.md has the figures.
"""

from __future__ import annotations

import io
from functools import cache

import numpy as np
from numpy.typing import NDArray

from imgsearch.encoders.builtin import weights
from imgsearch.vectors import Embeddings

TEXT_DIMENSIONS = 688
"""The blocks that texts use come first; the visual block is zero in the vector of a text."""
_SENTENCE_AND_CONCEPTS = 640
"""The blocks before those of colours, people and light."""

OFFSET = -1.2
SIGHTS_COEFFICIENT = 2.57
BACKGROUND_COEFFICIENT = -0.57
_BACKGROUND_MEDIAN, _BACKGROUND_IQR = 0.197, 0.063  # of the reference texts


def answer_prior(texts: Embeddings) -> NDArray[np.float64]:
    """Log-odds that a query has an answer, before its best score in the library is known.

    Parameters
    ----------
    texts : ndarray of shape (n, 800), float32, unit norm

    Returns
    -------
    ndarray of shape (n,), float64
        Natural logarithm of the odds.
    """
    sights, best = features(texts)
    vague = (best - _BACKGROUND_MEDIAN) / _BACKGROUND_IQR
    return OFFSET + SIGHTS_COEFFICIENT * sights + BACKGROUND_COEFFICIENT * vague


def features(texts: Embeddings) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The norm of the blocks of colours, people and light, and the best score against the
    background; each of shape (n,)."""
    sights = np.linalg.norm(texts[:, _SENTENCE_AND_CONCEPTS:TEXT_DIMENSIONS], axis=1)
    best = (texts[:, :TEXT_DIMENSIONS] @ _background().T).max(axis=1)
    return sights.astype(np.float64), best.astype(np.float64)


@cache
def _background() -> Embeddings:
    with np.load(io.BytesIO(weights.read_background()), allow_pickle=False) as archive:
        vectors: Embeddings = archive["vectors"].astype(np.float32)
    return vectors
