"""Names of clusters: the words that fit a cluster best and do not fit its neighbours."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from imgsearch.records import Cluster
from imgsearch.vectors import Embeddings, normalize

CONTRAST = 0.5
"""Share of a word's mean fit over the other clusters that is subtracted from its fit: with 0, words
that fit everything name several clusters, with 1 rare words that fit nothing well."""
UNNAMED = "unnamed"


def completed(
    clusters: Sequence[Cluster],
    words: Sequence[str],
    vectors: Embeddings,
    taken: Collection[str] = (),
) -> list[str]:
    """The name of each cluster, a new one if it has none; no name is used twice.

    Parameters
    ----------
    clusters : sequence of Cluster
        Of one level. Those first in order choose first.
    vectors : ndarray of shape (words, dimension), float32, unit norm
        The words, encoded in the space; empty if its text encoder cannot be loaded.
    taken : collection of str
        Names that are used already.
    """
    if not clusters:
        return []
    used, chosen = set(taken), []
    ranked = _ranked(np.stack([each.mean for each in clusters]), vectors)
    for cluster, order in zip(clusters, ranked, strict=True):
        name = cluster.name or _unused([words[each] for each in order] or [UNNAMED], used)
        used.add(name)
        chosen.append(name)
    return chosen


def kept(name: str) -> str:
    """The name that a cluster keeps: "" if it was made without a model."""
    return "" if name.startswith(UNNAMED) else name


def _ranked(means: Embeddings, vectors: Embeddings) -> Sequence[Sequence[int]]:
    """The words for each cluster, best first: by the fit of a word, its inner product with the
    mean of the cluster, less a share of its mean fit over the other clusters."""
    fit = normalize(means) @ vectors.T
    others = (fit.sum(axis=0, keepdims=True) - fit) / max(1, len(fit) - 1)
    order: list[list[int]] = np.argsort(CONTRAST * others - fit, axis=1, kind="stable").tolist()
    return order


def _unused(words: Sequence[str], used: Collection[str]) -> str:
    """The first word that is not used, or the first with a number."""
    for word in words:
        if word not in used:
            return word
    number = 2
    while f"{words[0]} {number}" in used:
        number += 1
    return f"{words[0]} {number}"
