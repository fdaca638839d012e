"""Writes the main part of an index: collects rows, trains lists, and writes rows by list.

Memory does not grow with the vectors: they go from their source into a scratch file, and from there
into the new file. Only ids and list numbers, 16 bytes a vector, are held in memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imgsearch.indexes import sealed_files
from imgsearch.indexes.mapped_vectors import HALF, SINGLE, Header, Stored, decoded
from imgsearch.indexes.threads import each, import_faiss
from imgsearch.vectors import Embeddings, Ids, normalize
from imgsearch.writing import private_opener

BLOCK_VECTORS = 4096
"""Vectors per list of an untrained file, so that threads can share a scan."""
KMEANS_ROUNDS = 8
VECTORS_PER_LIST = 32
"""Rounds of k-means, and its training vectors for each list: measured, docs/PERFORMANCE.md."""
MIN_TRAINING_VECTORS = 64
"""The kind `ivf` trains no lists with fewer vectors."""
RETRAINING_GROWTH_RATIO = 4
"""Factor of growth after which lists are trained again."""
MIN_RECALL = 0.995
"""Recall of the ten best, for queries made from stored vectors, that sets the lists to search."""
SAMPLE_QUERIES = 128
_SCALES = [step * 2.0**-12 for each in range(1, 9) for step in (each, -each)]

Source = Callable[[str], Iterable[tuple[Ids, NDArray[Any], Ids]]]
"""Maps a dtype to batches of ids, vectors in that dtype, and their lists (-1: none)."""


class NotHalfPrecision(Exception):
    """Vectors that float16 does not restore bit for bit."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Options for a new file.

    Attributes
    ----------
    centroids : ndarray of shape (lists, dimension), float32, or None
        Trained lists to keep.
    trained : int
        Number of vectors in their training; 0 without lists.
    train : int
        Minimum number of vectors to train new lists; 0 for never.
    """

    header: Header
    centroids: Embeddings | None = None
    trained: int = 0
    train: int = 0


def overdue(count: int, trained: int, minimum: int) -> bool:
    """True if `count` vectors should have lists trained with more than `trained`."""
    return bool(minimum) and count >= minimum and count >= RETRAINING_GROWTH_RATIO * trained


def list_count(count: int) -> int:
    """Number of lists for this many vectors: twice the square root, as a power of two."""
    return int(2 ** round(np.log2(2 * np.sqrt(count))))


def to_half(vectors: Embeddings) -> NDArray[Any]:
    """Vectors in float16 that, when normalised, are the same bits again.

    The catalog stores float16 and returns normalised vectors, so such a row always exists: it is
    found by rounding, or by rounding at a norm that differs slightly from 1.

    Raises
    ------
    NotHalfPrecision
        The vectors were not made from float16.
    """
    rows = vectors.astype(HALF)
    wrong = np.flatnonzero((normalize(rows) != vectors).any(axis=1))
    for step in _SCALES:
        if not len(wrong):
            return rows
        candidates = (vectors[wrong] * np.float32(1 + step)).astype(HALF)
        good = (normalize(candidates) == vectors[wrong]).all(axis=1)
        rows[wrong[good]] = candidates[good]
        wrong = wrong[~good]
    if len(wrong):
        raise NotHalfPrecision
    return rows


def stored_as(dtype: str, vectors: Embeddings) -> NDArray[Any]:
    """Vectors as stored in a file of this dtype; may raise `NotHalfPrecision`."""
    return to_half(vectors) if dtype == HALF else np.ascontiguousarray(vectors, dtype)


def save(path: str, source: Source, plan: Plan) -> None:
    """Write a sealed index file.

    Parameters
    ----------
    source : callable
        Called again for float32 if it raises `NotHalfPrecision` for float16.
    """
    rows = f"{path}.rows.tmp"
    try:
        try:
            scratch = _Scratch(rows, source, replace(plan.header, dtype=HALF))
        except NotHalfPrecision:
            scratch = _Scratch(rows, source, replace(plan.header, dtype=SINGLE))
        scratch.arrange(plan)
        scratch.write(path)
    finally:
        if os.path.exists(rows):
            os.remove(rows)


class _Scratch:
    """All rows in the order of arrival, in a temporary file."""

    def __init__(self, path: str, source: Source, header: Header) -> None:
        self._path = path
        ids, lists, slack = [np.empty(0, np.int64)], [np.empty(0, np.int64)], header.slack
        with open(path, "wb", opener=private_opener) as file:
            for part, codes, places in source(header.dtype):
                file.write(np.ascontiguousarray(codes).tobytes())
                ids.append(part)
                lists.append(places)
                slack = max(slack, norm_slack(codes))
        self.ids, self.lists = np.concatenate(ids), np.concatenate(lists)
        self.centroids: Embeddings | None = None
        self.header = replace(header, count=len(self.ids), slack=slack)

    @property
    def _codes(self) -> NDArray[Any]:
        shape = (len(self.ids), self.header.dimension)
        if not len(self.ids):  # an empty file cannot be mapped
            return np.empty(shape, self.header.dtype)
        return np.memmap(self._path, self.header.dtype, "r", shape=shape)

    def arrange(self, plan: Plan) -> None:
        """Assign each row to a list."""
        count, trained = len(self.ids), plan.trained
        self.centroids = plan.centroids
        if overdue(count, trained, plan.train):
            trained, self.centroids = count, self._train()
            self.lists[:] = -1
        if self.centroids is None:
            self.lists[np.argsort(self.ids, kind="stable")] = np.arange(count) // BLOCK_VECTORS
            self.header = replace(self.header, lists=max(1, -(-count // BLOCK_VECTORS)))
        else:
            self._assign(np.flatnonzero(self.lists < 0))
            self.header = replace(self.header, lists=len(self.centroids), trained=trained)

    def _train(self) -> Embeddings:
        """Centres of new lists: spherical k-means over a sample (FAISS)."""
        faiss, count = import_faiss(), len(self.ids)
        lists = max(1, min(list_count(count), count // 4))
        numbers = np.random.default_rng(0)
        rows = numbers.choice(count, min(count, VECTORS_PER_LIST * lists), replace=False)
        sample = decoded(np.array(self._codes[np.sort(rows)]))
        means = faiss.Kmeans(
            self.header.dimension, lists, niter=KMEANS_ROUNDS, spherical=True, seed=1,
            max_points_per_centroid=VECTORS_PER_LIST, min_points_per_centroid=1,
        )  # fmt: skip
        next(each(means.train, [sample]))
        centres: Embeddings = normalize(means.centroids)
        return centres

    def _assign(self, rows: Ids) -> None:
        assert self.centroids is not None
        quantizer = import_faiss().IndexFlatIP(self.header.dimension)
        quantizer.add(self.centroids)
        codes = self._codes

        def work(part: Ids) -> tuple[Ids, Ids]:
            return part, quantizer.search(decoded(np.array(codes[part])), 1)[1][:, 0]

        parts = (
            rows[start : start + BLOCK_VECTORS] for start in range(0, len(rows), BLOCK_VECTORS)
        )
        for part, lists in each(work, parts):
            self.lists[part] = lists

    def write(self, path: str) -> None:
        """Write the rows by list and id, then the arrays."""
        order = np.lexsort((self.ids, self.lists))
        sizes = np.bincount(self.lists, minlength=self.header.lists).astype(np.int64)
        with open(path, "w+b", opener=private_opener) as file:
            writer = sealed_files.SealedWriter(file)
            for codes, rows in self._lists(order, sizes):
                writer.write(codes)
                writer.write(rows)
            ids = self.ids[order]
            arrays: dict[str, NDArray[Any]] = {"sizes": sizes, "ids": np.sort(ids)}
            if self.centroids is not None:
                by_id = np.argsort(ids, kind="stable").astype(np.int64)
                arrays |= {"rows": by_id, "row_ids": ids, "centroids": self.centroids}
            places = {}
            for name, array in arrays.items():
                places[name] = writer.align()
                writer.write(np.ascontiguousarray(array))
            writer.align()
            self.header = replace(self.header, places=places)
            file.flush()
            if self.header.trained:
                self.header = with_probes(Stored(file, writer.length, self.header))
            writer.close(self.header.plain())

    def _lists(self, order: Ids, sizes: Ids) -> Iterator[tuple[NDArray[Any], Ids]]:
        codes, stop = self._codes, 0
        for size in sizes.tolist():
            start, stop = stop, stop + size
            yield np.array(codes[order[start:stop]]), np.arange(start, stop, dtype=np.int64)


def norm_slack(codes: NDArray[Any]) -> float:
    """Maximum difference of a row's norm from 1; rows of zeros score 0 in any case."""
    norms = np.linalg.norm(codes.astype(np.float32), axis=1)
    return float(np.abs(norms[norms > 0] - 1).max(initial=0.0))


def with_probes(stored: Stored) -> Header:
    """The header with the smallest measured number of probes that reaches `MIN_RECALL`.

    Queries are stored vectors with noise: half of them stay near (noise of norm 0.5), half of them
    move away (2.0), because the words for a picture are far from it.
    """
    numbers = np.random.default_rng(2)
    rows = np.sort(numbers.choice(stored.count, min(SAMPLE_QUERIES, stored.count), replace=False))
    noise = normalize(numbers.standard_normal((len(rows), stored.dimension)))
    noise[::2] *= 0.5
    noise[1::2] *= 2.0
    queries = normalize(stored.vectors(rows) + noise)
    k = min(10, stored.count)
    exact, _ = stored.best(queries, k, None)
    probes, recall = 1, 0.0
    while True:
        header = replace(stored.header, probes=probes)
        stored.header = header
        scores, _, _ = stored.near(queries, k, None)
        recall = float((scores >= exact[:, -1:] - 1e-6).mean())
        if recall >= MIN_RECALL or probes >= header.lists:
            return replace(header, recall=recall)
        probes = min(header.lists, 2 * probes)
