"""Near-identical hits folded into one: copies, other sizes and exports of the same picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from imgsearch.ports import VectorIndex
from imgsearch.records import Hit, ImageRecord, Query
from imgsearch.vectors import Embeddings, Ids

NEAR_IDENTICAL = {"builtin": 0.95}
"""Model -> the inner product from which on two pictures are near-identical. Measured:
`python benchmarks/near_identical.py`; see docs/adr/0014-output-that-writes.md."""

UNMEASURED = 0.985
"""For models that it was not measured for: so high that little is folded that should not be."""

_AHEAD = 4


@dataclass(slots=True)
class _Group:
    """A hit and what is folded into it."""

    first: Hit
    vector: Embeddings
    others: list[ImageRecord]


def near_identical(model: str) -> float:
    """From which inner product on two pictures of a model's space are near-identical."""
    return NEAR_IDENTICAL.get(model, UNMEASURED)


def search_folded(
    search: Callable[[Query], list[Hit]],
    vectors: Callable[[Ids], Embeddings],
    query: Query,
    least: float,
) -> list[Hit]:
    """The best hits that are no copies of a better one, each with its copies.

    Parameters
    ----------
    search : callable
        Gives the best hits for a query; more of them, and the same first, for a larger limit.
    vectors : callable
        int64 ids -> unit vectors of shape (ids, dimension), in the space that is searched.
    query : Query
        `limit` counts what is left after folding.
    least : float
        From which inner product on two pictures are near-identical.

    Returns
    -------
    list of Hit
        As many as `limit`, or all there are; ranks count up from 1. `duplicates` are those among
        the hits that were looked at, best first: pictures that follow soon in the ranking.
    """
    wanted = query.limit * _AHEAD
    while True:
        hits = search(replace(query, limit=wanted))
        groups = _groups(hits, vectors, least, query.limit + 1)
        # One group more, so that the copies of the last one have come, too.
        if len(groups) > query.limit or len(hits) < wanted:
            return [
                replace(group.first, rank=rank, duplicates=tuple(group.others))
                for rank, group in enumerate(groups[: query.limit], start=1)
            ]
        wanted *= 2


def _groups(
    hits: Sequence[Hit], vectors: Callable[[Ids], Embeddings], least: float, most: int
) -> list[_Group]:
    """Each hit goes to the one that it is a copy of, or makes a group; of those at most `most`."""
    rows = vectors(np.array([hit.image.id for hit in hits], np.int64))
    by_hash: dict[str, _Group] = {}
    groups: list[_Group] = []
    for hit, row in zip(hits, rows, strict=True):
        group = by_hash.get(hit.image.content_hash) or _nearest(groups, row, least)
        if group is not None:
            group.others.append(hit.image)
        elif len(groups) < most:
            group = _Group(hit, row, [])
            groups.append(group)
        if group is not None:
            by_hash.setdefault(hit.image.content_hash, group)
    return groups


def _nearest(groups: Sequence[_Group], row: Embeddings, least: float) -> _Group | None:
    """The group whose first picture is most like this one, if that is enough."""
    if not groups:
        return None
    products = np.stack([group.vector for group in groups]) @ row
    best = int(products.argmax())
    return groups[best] if products[best] >= least else None


MOST_FOLDED = 5000
"""How far down a long ranking copies are looked for; those behind stand as they are."""
_BLOCK = 256
"""Places that are compared with those behind them in one product of matrices."""


def folded_places(ids: Ids, index: VectorIndex, least: float) -> dict[int, list[int]]:
    """Which places of a ranking stand for which others that are copies of them.

    Each picture goes to the best place before it that it is near-identical to.

    Parameters
    ----------
    ids : ndarray of shape (n,), int64
        Best first.

    Returns
    -------
    dict of int to list of int
        Places that stay to places that are folded into them; every place once.
    """
    count = min(len(ids), MOST_FOLDED)
    rows = np.zeros((count, index.space.dimension), np.float32)
    seen = np.isin(ids[:count], index.ids())
    rows[seen] = index.vectors(ids[:count][seen])
    copies: dict[int, list[int]] = {place: [] for place in range(count, len(ids))}
    left = np.ones(count, np.bool_)
    for start in range(0, count, _BLOCK):
        alike = rows[start : start + _BLOCK] @ rows[start:].T >= least
        for place in range(start, min(start + _BLOCK, count)):
            if left[place]:
                near = left[place + 1 :] & alike[place - start, place - start + 1 :]
                copies[place] = (np.flatnonzero(near) + place + 1).tolist()
                left[copies[place]] = False
    return copies
