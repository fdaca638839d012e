"""Finds pictures connected by near-identical pairs, in a whole library, in bounded memory.

Up to `MAX_EXACT_PRODUCTS` pairs all are computed, in tiles. Beyond, each picture is compared with
those of the lists whose centroids are nearest to it, as in an inverted file: near-identical
pictures share a list, or lie in neighbouring ones.

Two pictures are connected if a chain of near-identical pairs leads from one to the other. That is
coarser than a group of duplicates, whose members are all near the best one, and it does not depend
on an order: `searching.duplicates.leaders_of` finds the same groups within each part as in the
whole library.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import xxhash
from numpy.typing import NDArray

from imgsearch.vectors import Embeddings, Ids

MAX_EXACT_PRODUCTS = 10**10
"""100,000 pictures with each other, or 10,000 new ones with 1,000,000."""
TILE_ROWS = 4096
"""A tile of products takes 64 MiB, however large the library is."""
STORED_ROUNDING = 2e-3
"""Allowance for vectors held as float16. A pair that turns out not to be near joins parts, but no
group."""
MAX_PENDING_PAIRS = 1_000_000
MAX_TILE_PAIRS = 4 * TILE_ROWS
PROBED_LISTS = 8
SAMPLES_PER_LIST = 16
TRAINING_ROUNDS = 4

Halves = NDArray[np.float16]
"""Vectors of shape (n, dimension) of unit norm."""
Blocks = Iterator[tuple[Ids, Embeddings]]
"""Ids and their vectors, as float32, in blocks of at most `TILE_ROWS`."""


class Parts:
    """A partition of pictures into connected parts.

    Parameters
    ----------
    ids : ndarray of shape (n,), int64
        All pictures, sorted.
    labels : ndarray of shape (n,), int, optional
        Pictures with the same label are connected; without labels each is a part of its own.
    """

    def __init__(self, ids: Ids, labels: NDArray[np.int64] | None = None) -> None:
        self.ids = ids
        self._labels = np.arange(len(ids)) if labels is None else labels
        self._pending: list[NDArray[np.intp]] = []
        self._count = 0

    def join(self, one: NDArray[np.intp], other: NDArray[np.intp]) -> None:
        """Join the parts of pairs of pictures, given by their positions in `ids`."""
        apart = self._labels[one] != self._labels[other]
        if apart.any():
            self._pending.append(np.stack([one[apart], other[apart]]))
            self._count += int(apart.sum())
            if self._count > MAX_PENDING_PAIRS:
                self._settle()

    def apart(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.bool_]:
        """True for pairs not known to be connected, shape (rows, columns)."""
        apart: NDArray[np.bool_] = self._labels[rows, None] != self._labels[None, columns]
        return apart

    def labels(self) -> NDArray[np.int64]:
        """The number of the part of each picture, shape (n,)."""
        self._settle()
        return self._labels

    def linked(self) -> tuple[Ids, Ids]:
        """The pictures in parts of two or more, sorted, and for each the lowest id of its part."""
        _, first, inverse, counts = np.unique(
            self.labels(), return_index=True, return_inverse=True, return_counts=True
        )
        shared = counts[inverse] > 1
        return self.ids[shared], self.ids[first][inverse][shared]

    def _settle(self) -> None:
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        if not self._pending:
            return
        one, other = self._labels[np.concatenate(self._pending, axis=1)]
        size = int(self._labels.max()) + 1
        graph = coo_array((np.ones(len(one), np.bool_), (one, other)), shape=(size, size))
        self._labels = connected_components(graph, directed=False)[1][self._labels].astype(np.int64)
        self._pending, self._count = [], 0


def join_near(
    parts: Parts, ids: Ids, rows: Halves, others: Callable[[], Blocks], least: float
) -> None:
    """Join the parts of near-identical pictures if at least one picture of the pair is new.

    Parameters
    ----------
    ids, rows : ndarrays of shape (n,) and (n, dimension)
        The new pictures, sorted by id.
    others : callable
        The vectors of the pictures that have been compared with each other before.
    least : float
        The inner product from which two pictures are near-identical.
    """
    least -= STORED_ROUNDING
    places = np.searchsorted(parts.ids, ids)
    distinct = _join_equal(parts, places, rows)
    places, rows = places[distinct], rows[distinct]
    if len(rows) * len(parts.ids) > MAX_EXACT_PRODUCTS:
        old = [(each, block.astype(np.float16)) for each, block in others()]
        old_places = (np.searchsorted(parts.ids, each) for each, _ in old)
        places = np.concatenate([places, *old_places])
        rows = np.concatenate([rows, *(block for _, block in old)]) if old else rows
        _join_listed(parts, places, rows, least)
        return
    for start in range(0, len(rows), TILE_ROWS):
        columns = slice(start, start + TILE_ROWS)
        block = rows[columns].astype(np.float32)
        so_far = slice(0, columns.stop)
        _join_tiles(parts, places[so_far], rows[so_far], places[columns], block, least)
    for other_ids, block in others():
        _join_tiles(parts, places, rows, np.searchsorted(parts.ids, other_ids), block, least)


def _join_equal(parts: Parts, places: NDArray[np.intp], rows: Halves) -> NDArray[np.intp]:
    """Join pictures with equal vectors; returns one row of each. Thousands then cost as one."""
    keys = np.fromiter((xxhash.xxh3_64_intdigest(row.data) for row in rows), np.uint64, len(rows))
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    parts.join(places, places[first][inverse])
    return np.sort(first)


def _join_tiles(
    parts: Parts,
    places: NDArray[np.intp],
    rows: Halves,
    columns: NDArray[np.intp],
    block: Embeddings,
    least: float,
) -> None:
    for start in range(0, len(rows), TILE_ROWS):
        part = slice(start, start + TILE_ROWS)
        near = rows[part].astype(np.float32) @ block.T >= least
        if near.any():
            _join_tile(parts, places[part], columns, near)


def _join_tile(
    parts: Parts, rows: NDArray[np.intp], columns: NDArray[np.intp], near: NDArray[np.bool_]
) -> None:
    """Join the near pairs of a tile. Of many, one of each row at a time, which leaves few apart."""
    near &= parts.apart(rows, columns)
    while np.count_nonzero(near) > MAX_TILE_PAIRS:
        some = np.flatnonzero(near.any(axis=1))
        parts.join(rows[some], columns[near[some].argmax(axis=1)])
        some = np.flatnonzero(near.any(axis=0))
        parts.join(rows[near[:, some].argmax(axis=0)], columns[some])
        parts.labels()
        near &= parts.apart(rows, columns)
    row, column = np.nonzero(near)
    parts.join(rows[row], columns[column])


def _join_listed(parts: Parts, places: NDArray[np.intp], rows: Halves, least: float) -> None:
    centroids = _centroids(rows)
    lists = _nearest(rows, centroids, PROBED_LISTS)
    members = _by_list(lists[:, 0], len(centroids))
    visits = _by_list(lists.ravel(), len(centroids))
    for member, visit in zip(members, visits, strict=True):
        for first in range(0, len(member), TILE_ROWS):
            part = member[first : first + TILE_ROWS]
            block = rows[part].astype(np.float32)
            for start in range(0, len(visit), TILE_ROWS):
                guests = visit[start : start + TILE_ROWS] // PROBED_LISTS
                _join_tiles(parts, places[guests], rows[guests], places[part], block, least)


def _by_list(lists: NDArray[np.int32], count: int) -> list[NDArray[np.intp]]:
    """For each list, the positions at which it occurs."""
    order = np.argsort(lists, kind="stable")
    return np.split(order, np.searchsorted(lists[order], np.arange(1, count)))


def _centroids(rows: Halves) -> Embeddings:
    """Centroids of a spherical k-means on a sample, shape (k, dimension), float32."""
    count = int(4 * len(rows) ** 0.5)
    random = np.random.default_rng(0)
    size = min(len(rows), count * SAMPLES_PER_LIST)
    sample = rows[np.sort(random.choice(len(rows), size, replace=False))]
    centroids = sample[random.choice(size, count, replace=False)].astype(np.float32)
    for _ in range(TRAINING_ROUNDS):
        nearest = _nearest(sample, centroids, 1)[:, 0]
        for number, member in enumerate(_by_list(nearest, count)):
            if len(member):
                centroids[number] = sample[member].sum(axis=0, dtype=np.float32)
        centroids /= np.maximum(np.linalg.norm(centroids, axis=1, keepdims=True), 1e-9)
    return centroids


def _nearest(rows: Halves, centroids: Embeddings, count: int) -> NDArray[np.int32]:
    """The nearest centroids of each row, the nearest first, shape (n, count)."""
    found = np.empty((len(rows), count), np.int32)
    for start in range(0, len(rows), TILE_ROWS):
        block = rows[start : start + TILE_ROWS].astype(np.float32)
        products = block @ centroids.T
        if count == 1:
            found[start : start + len(block), 0] = products.argmax(axis=1)
            continue
        best = np.argpartition(products, -count, axis=1)[:, -count:]
        order = np.argsort(-np.take_along_axis(products, best, 1), axis=1)
        found[start : start + len(block)] = np.take_along_axis(best, order, 1)
    return found
