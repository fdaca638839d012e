"""Pictures folded into one: near-identical ones, and the files of one shot.

`fold` takes copies, other sizes and exports of the same picture. `fold_parts` takes the RAW and the
JPEG of one shot, whatever they look like; `catalog.shots` finds the files of a shot.

`leaders_of` is the one algorithm: `fold` uses it for the command line, the page, MCP and Python,
and `curation.duplicate_groups` for the whole library. It goes through an order from the best place
down. A picture that no better place has taken stays, and takes every later picture that is
near-identical to it: whose vector has at least a model's inner product with its own, or whose file
has the same bytes. A ranking is folded `MAX_FOLDED_PLACES` deep; later places are not changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from imgsearch.ports import VectorIndex
from imgsearch.searching.hits import Ranking
from imgsearch.vectors import Embeddings, Ids

NEAR_IDENTICAL = {"builtin": 0.95}
"""Model -> the inner product from which two pictures are near-identical. Measured by
`python benchmarks/near_identical.py`; see docs/adr/0014-output-that-writes.md."""

NEAR_IDENTICAL_IF_UNMEASURED = 0.985
"""For other models: high enough to fold few pictures by mistake."""

MAX_FOLDED_PLACES = 5000
_BLOCK_PLACES = 64
"""Places that are compared with those behind them in one product of matrices, but for those that a
better one has taken. If most are copies, small blocks compare few."""


def near_identical(model: str) -> float:
    """The inner product from which two pictures of a model's space are near-identical."""
    return NEAR_IDENTICAL.get(model, NEAR_IDENTICAL_IF_UNMEASURED)


def fold(ranking: Ranking, vectors: Embeddings, hashes: Mapping[int, str], least: float) -> Ranking:
    """The ranking with near-identical pictures folded into the best of them.

    Parameters
    ----------
    vectors : ndarray of shape (m, dimension), float32, unit norm
        Of the first places; zero for a picture that the model has not seen.
    hashes : mapping of id to str
        Content hashes; needed for pictures without a vector only, because the same bytes have
        the same vector.
    least : float
        The inner product from which two pictures are near-identical.

    Returns
    -------
    Ranking
        Its `folded` maps the ids that stay to those folded into them, best first.
    """
    ids = ranking.ids
    leaders = np.arange(len(ids))
    first = ids[: len(vectors)].tolist()
    leaders[: len(first)] = leaders_of(vectors, [hashes.get(each) for each in first], least)
    stay = np.flatnonzero(leaders == np.arange(len(ids)))
    folded: dict[int, list[int]] = {}
    for place in np.flatnonzero(leaders != np.arange(len(ids))).tolist():
        folded.setdefault(int(ids[leaders[place]]), []).append(int(ids[place]))
    return ranking.at(stay, folded)


def leaders_of(
    vectors: Embeddings,
    hashes: Sequence[str | None],
    least: float,
    exposures: NDArray[np.int64] | None = None,
) -> NDArray[np.intp]:
    """For each place of an order, the place of the picture that it is folded into, or its own.

    Parameters
    ----------
    vectors : ndarray of shape (n, dimension), float32, unit norm
        Best first; zero for a picture that the model has not seen.
    hashes : sequence of str or None
        Content hashes, None where it is not needed.
    least : float
        The inner product from which two pictures are near-identical.
    exposures : ndarray of shape (n,), int64, optional
        Times of the exposures, 0 where unknown. Pictures with two different times do not fold,
        unless their bytes are the same. None to fold whatever the times.
    """
    count = len(vectors)
    leaders = np.arange(count)
    free = np.ones(count, np.bool_)
    by_hash: dict[str, int] = {}
    for start in range(0, count, _BLOCK_PLACES):
        untaken = start + np.flatnonzero(free[start : start + _BLOCK_PLACES])
        near = vectors[untaken] @ vectors[start:].T >= least
        if exposures is not None:
            near &= ~_differ(exposures[untaken, None], exposures[None, start:])
        alike = dict(zip(untaken.tolist(), near, strict=True))
        for place in range(start, min(start + _BLOCK_PLACES, count)):
            key = hashes[place]
            if free[place] and key in by_hash:
                leaders[place] = by_hash[key]
            elif free[place]:
                behind = free[place + 1 :] & alike[place][place - start + 1 :]
                taken = np.flatnonzero(behind) + place + 1
                leaders[taken], free[taken] = place, False
            if key is not None:
                by_hash.setdefault(key, int(leaders[place]))
    return leaders


def _differ(one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.bool_]:
    """True for two exposures at different times; False if one is unknown."""
    differ: NDArray[np.bool_] = (one != other) & (one != 0) & (other != 0)
    return differ


def fold_parts(ranking: Ranking, shots: Mapping[int, Sequence[int]]) -> Ranking:
    """The ranking with the files of one shot as one picture at the best of their places.

    That place shows the best file, or in a list by date the most viewable that passed the filter.

    Parameters
    ----------
    shots : mapping of id to ids
        `Catalog.shots`.

    Returns
    -------
    Ranking
        Its `parts` maps the ids shown to the other files of the shot, found or not.
    """
    ids, gone = ranking.ids.copy(), []
    leaders: dict[Sequence[int], int] = {}
    for place in np.flatnonzero(np.isin(ids, np.fromiter(shots, np.int64, len(shots)))).tolist():
        shot = shots[int(ids[place])]
        if shot not in leaders:
            leaders[shot] = place
            continue
        gone.append(place)
        leader = leaders[shot]
        if ranking.by_date and shot.index(int(ids[place])) < shot.index(int(ids[leader])):
            ids[leader] = ids[place]
    shown = {int(ids[place]): shot for shot, place in leaders.items()}
    parts = {key: [each for each in shot if each != key] for key, shot in shown.items()}
    if not parts:
        return ranking
    stay = np.delete(np.arange(len(ids)), gone)
    return replace(replace(ranking, ids=ids).at(stay, ranking.folded), parts=parts)


def vectors_of(index: VectorIndex, ids: Ids) -> Embeddings:
    """Vectors of shape (ids, dimension), float32; zero for ids that the index does not have."""
    rows = np.zeros((len(ids), index.space.dimension), np.float32)
    held = np.isin(ids, index.among(np.sort(ids)))
    rows[held] = index.vectors(ids[held])
    return rows
