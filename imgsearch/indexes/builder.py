"""Write the main part of an index: rows to a scratch file, lists trained, rows in their order.

Memory does not grow with the vectors: they go from where they come from into the scratch file, and
from there into the new one. Only ids and list numbers, 16 bytes a vector, are held.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgsearch.indexes import sealed_files
from imgsearch.indexes.mapped import HALF, SINGLE, Header, Stored, decoded
from imgsearch.indexes.threads import each, import_faiss
from imgsearch.vectors import Embeddings, Ids, normalize

BLOCK = 4096
"""Vectors in a list that is no cell but a block: scans of blocks are shared among threads."""
ROUNDS = 8
PER_LIST = 32
"""Rounds of k-means, and vectors that it is given for each list: measured, docs/PERFORMANCE.md."""
FEWEST = 64
"""With fewer vectors the kind `ivf` trains no lists."""
GROWTH = 4
"""Lists are trained anew when there are so many times as many vectors."""
RECALL = 0.995
"""Of the ten best, in queries made from stored vectors: so many lists are looked into."""
SAMPLE = 128
_SCALES = [step * 2.0**-12 for each in range(1, 9) for step in (each, -each)]

Source = Callable[[str], Iterable[tuple[Ids, NDArray[Any], Ids]]]
"""From a dtype to ids, vectors as they are to be stored, and the lists they lie in (-1: none)."""


class NotHalves(Exception):
    """Vectors that float16 does not give back bit by bit."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to write.

    Attributes
    ----------
    centroids : ndarray of shape (lists, dimension), float32, or None
        The trained lists to go on with.
    trained : int
        With how many vectors they were trained; 0 without any.
    train : int
        Train lists anew if there are at least so many vectors; 0 is never.
    """

    header: Header
    centroids: Embeddings | None = None
    trained: int = 0
    train: int = 0


def overdue(count: int, trained: int, least: int) -> bool:
    """True if `count` vectors should have lists trained with more than `trained`."""
    return bool(least) and count >= least and count >= GROWTH * trained


def list_count(count: int) -> int:
    """How many lists for so many vectors: twice the root, as a power of two."""
    return int(2 ** round(np.log2(2 * np.sqrt(count))))


def halves(vectors: Embeddings) -> NDArray[Any]:
    """Vectors in float16 so that normalised they are the same bits again.

    The catalog stores float16 and gives unit vectors made from it, so there always is a row of
    float16 to be found again: on rounding, or at a norm that is a little off 1.

    Raises
    ------
    NotHalves
        They do not come from float16.
    """
    found = vectors.astype(HALF)
    wrong = np.flatnonzero((normalize(found) != vectors).any(axis=1))
    for step in _SCALES:
        if not len(wrong):
            return found
        tried = (vectors[wrong] * np.float32(1 + step)).astype(HALF)
        good = (normalize(tried) == vectors[wrong]).all(axis=1)
        found[wrong[good]] = tried[good]
        wrong = wrong[~good]
    if len(wrong):
        raise NotHalves
    return found


def stored_as(dtype: str, vectors: Embeddings) -> NDArray[Any]:
    """Vectors as a file of this dtype holds them; may raise `NotHalves`."""
    return halves(vectors) if dtype == HALF else np.ascontiguousarray(vectors, dtype)


def save(path: str, source: Source, plan: Plan) -> None:
    """Write a sealed index file.

    Parameters
    ----------
    source : callable
        May be called twice: once more for float32 if it raises `NotHalves` for float16.
    """
    rows = f"{path}.rows.tmp"
    try:
        try:
            scratch = _Scratch(rows, source, replace(plan.header, dtype=HALF))
        except NotHalves:
            scratch = _Scratch(rows, source, replace(plan.header, dtype=SINGLE))
        scratch.arrange(plan)
        scratch.write(path)
    finally:
        if os.path.exists(rows):
            os.remove(rows)


class _Scratch:
    """All rows in the order in which they came, in a file of their own."""

    def __init__(self, path: str, source: Source, header: Header) -> None:
        self._path = path
        ids, lists, slack = [np.empty(0, np.int64)], [np.empty(0, np.int64)], header.slack
        with open(path, "wb") as file:
            for part, codes, places in source(header.dtype):
                file.write(np.ascontiguousarray(codes).tobytes())
                ids.append(part)
                lists.append(places)
                slack = max(slack, _slack(codes))
        self.ids, self.lists = np.concatenate(ids), np.concatenate(lists)
        self.centroids: Embeddings | None = None
        self.header = replace(header, count=len(self.ids), slack=slack)

    @property
    def _codes(self) -> NDArray[Any]:
        shape = (len(self.ids), self.header.dimension)
        if not len(self.ids):  # nothing of no length can be mapped
            return np.empty(shape, self.header.dtype)
        return np.memmap(self._path, self.header.dtype, "r", shape=shape)

    def arrange(self, plan: Plan) -> None:
        """Say for each row which list it goes to."""
        count, trained = len(self.ids), plan.trained
        self.centroids = plan.centroids
        if overdue(count, trained, plan.train):
            trained, self.centroids = count, self._train()
            self.lists[:] = -1
        if self.centroids is None:
            self.lists[np.argsort(self.ids, kind="stable")] = np.arange(count) // BLOCK
            self.header = replace(self.header, lists=max(1, -(-count // BLOCK)))
        else:
            self._assign(np.flatnonzero(self.lists < 0))
            self.header = replace(self.header, lists=len(self.centroids), trained=trained)

    def _train(self) -> Embeddings:
        """The middles of lists: spherical k-means over a sample (FAISS)."""
        faiss, count = import_faiss(), len(self.ids)
        lists = max(1, min(list_count(count), count // 4))
        numbers = np.random.default_rng(0)
        chosen = numbers.choice(count, min(count, PER_LIST * lists), replace=False)
        sample = decoded(np.array(self._codes[np.sort(chosen)]))
        means = faiss.Kmeans(
            self.header.dimension, lists, niter=ROUNDS, spherical=True, seed=1,
            max_points_per_centroid=PER_LIST, min_points_per_centroid=1,
        )  # fmt: skip
        next(each(means.train, [sample]))
        found: Embeddings = normalize(means.centroids)
        return found

    def _assign(self, rows: Ids) -> None:
        assert self.centroids is not None
        quantizer = import_faiss().IndexFlatIP(self.header.dimension)
        quantizer.add(self.centroids)
        codes = self._codes

        def work(part: Ids) -> tuple[Ids, Ids]:
            return part, quantizer.search(decoded(np.array(codes[part])), 1)[1][:, 0]

        parts = (rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK))
        for part, found in each(work, parts):
            self.lists[part] = found

    def write(self, path: str) -> None:
        """Write the rows in the order of lists, and of ids within each; then the arrays."""
        order = np.lexsort((self.ids, self.lists))
        sizes = np.bincount(self.lists, minlength=self.header.lists).astype(np.int64)
        with open(path, "w+b") as file:
            sealing = sealed_files.Sealing(file)
            for codes, rows in self._lists(order, sizes):
                sealing.write(codes)
                sealing.write(rows)
            ids = self.ids[order]
            arrays: dict[str, NDArray[Any]] = {"sizes": sizes, "ids": np.sort(ids)}
            if self.centroids is not None:
                by_id = np.argsort(ids, kind="stable").astype(np.int64)
                arrays |= {"rows": by_id, "row_ids": ids, "centroids": self.centroids}
            places = {}
            for name, array in arrays.items():
                places[name] = sealing.align()
                sealing.write(np.ascontiguousarray(array))
            sealing.align()
            self.header = replace(self.header, places=places)
            file.flush()
            if self.header.trained:
                self.header = measured(Stored(file, sealing.length, self.header))
            sealing.close(self.header.plain())

    def _lists(self, order: Ids, sizes: Ids) -> Iterator[tuple[NDArray[Any], Ids]]:
        codes, stop = self._codes, 0
        for size in sizes.tolist():
            start, stop = stop, stop + size
            yield np.array(codes[order[start:stop]]), np.arange(start, stop, dtype=np.int64)


def _slack(codes: NDArray[Any]) -> float:
    """How far from 1 the norm of a row is, at most; a row of zeros scores 0 either way."""
    norms = np.linalg.norm(codes.astype(np.float32), axis=1)
    return float(np.abs(norms[norms > 0] - 1).max(initial=0.0))


def measured(stored: Stored) -> Header:
    """The header with as few lists to look into as give the recall that is asked for.

    Queries are stored vectors with noise: half of them stay near (0.5 of their length), half of
    them leave (2.0), as the words for a picture lie far from it.
    """
    numbers = np.random.default_rng(2)
    rows = np.sort(numbers.choice(stored.count, min(SAMPLE, stored.count), replace=False))
    noise = normalize(numbers.standard_normal((len(rows), stored.dimension)))
    noise[::2] *= 0.5
    noise[1::2] *= 2.0
    queries = normalize(stored.vectors(rows) + noise)
    k = min(10, stored.count)
    true, _ = stored.best(queries, k, None)
    probes, recall = 1, 0.0
    while True:
        header = replace(stored.header, probes=probes)
        stored.header = header
        scores, _, _ = stored.near(queries, k, None)
        recall = float((scores >= true[:, -1:] - 1e-6).mean())
        if recall >= RECALL or probes >= header.lists:
            return replace(header, recall=recall)
        probes = min(header.lists, 2 * probes)
