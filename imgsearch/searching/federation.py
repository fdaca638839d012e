"""One ranking from those of several models, whose scores are not comparable.

While `imgsearch models switch` encodes, the present model knows all pictures and the next one only
some. Reciprocal ranks (`searching.fusion`) are averaged over the models that know a picture, so
that it neither gains nor loses by having been encoded already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from imgsearch.ports import VectorIndex
from imgsearch.searching.fusion import DAMPING
from imgsearch.searching.hits import Ranking
from imgsearch.vectors import Ids


@dataclass(frozen=True, slots=True)
class ModelRanking:
    """The ranking of a request by one model, and the index of that model."""

    ranking: Ranking
    index: VectorIndex


def federate(parts: Sequence[ModelRanking], limit: int) -> Ranking:
    """The best pictures by the mean of 1 / (DAMPING + rank) over the models that know them.

    A model that knows n of N pictures ranks fewer against each other. The picture at its place r is
    expected at place r (N + 1) / (n + 1) among all (order statistics of a random sample; David and
    Nagaraja 2003), which counts as its rank. A picture that a model knows and leaves out adds
    nothing to the mean.

    Parameters
    ----------
    parts : sequence of ModelRanking
        The model in use comes first. Scores are those of this model alone; so are strengths and all
        other values of a ranking, if it has them.
    """
    ids = np.unique(np.concatenate([part.ranking.ids for part in parts]))
    total = max(len(part.index) for part in parts)
    sums, known = np.zeros(len(ids)), np.zeros(len(ids))
    for part in parts:
        ranks = np.arange(1, len(part.ranking) + 1) * (total + 1) / (len(part.index) + 1)
        sums[np.searchsorted(ids, part.ranking.ids)] += 1 / (DAMPING + ranks)
        known += np.isin(ids, part.index.among(ids))
    means = sums / np.maximum(known, 1)  # a picture found by its name may be known to none
    order = ids[np.lexsort([_places(ids, parts[0].ranking), -means])]
    return _described(order, [part.ranking for part in parts], limit)


def _places(ids: Ids, ranking: Ranking) -> Ids:
    """The place of each id in a ranking; those that it lacks come last."""
    places = np.full(len(ids), len(ranking))
    places[np.searchsorted(ids, ranking.ids)] = np.arange(len(ranking))
    return places


def _described(order: Ids, rankings: Sequence[Ranking], limit: int) -> Ranking:
    """The ranking of the first ids in this order, described by the rankings that have them."""
    own = rankings[0]
    ids = order[:limit]
    scores, strengths = np.full((2, len(ids)), np.nan, np.float32)
    named = np.zeros(len(ids), np.bool_)
    for ranking in reversed(rankings):  # the values of the first stay
        _, here, there = np.intersect1d(ids, ranking.ids, return_indices=True)
        known = ranking.strengths[there]
        strengths[here] = np.where(np.isnan(known), strengths[here], known)
        named[here] |= ranking.named[there]
        if ranking is own:
            scores[here] = ranking.scores[there]
    notes = dict.fromkeys(note for ranking in rankings for note in ranking.notes)
    return replace(
        own,
        ids=ids,
        scores=scores,
        strengths=strengths,
        named=named,
        complete=len(order) <= limit and all(ranking.complete for ranking in rankings),
        matching=None,
        note="" if len(ids) else own.note,
        notes=tuple(notes),
    )
