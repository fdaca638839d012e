"""The main part of an index: an immutable file that is mapped into memory.

Vectors are stored in consecutive lists: all vectors of a list, then their row numbers. This is the
layout of FAISS's `OnDiskInvertedLists`, so FAISS scans them in place. Lists are the cells of a
trained inverted file (Sivic and Zisserman 2003, "Video Google"; IVF in Douze et al. 2024, "The
Faiss library"), or blocks in the order of ids in an untrained file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import gcd
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from imgsearch.indexes import sealed_files
from imgsearch.indexes.threads import BLAS_THRESHOLD, alone, each, import_faiss, threads
from imgsearch.vectors import Embeddings, Ids, Matches, normalize

HALF, SINGLE = "<f2", "<f4"
CHUNK_ROWS = 4096
"""Rows that are decoded and compared together; they fit in the processor's cache."""
EXTRA_CANDIDATES = 8
"""Candidates beyond k that are compared in float32."""
ROUNDING = 1e-6
"""Maximum difference between two ways to sum the same product."""
_NO_SCORE = np.float32(-np.inf)

Rows = Ids
Scan = Callable[[Embeddings, int, Any], tuple[Embeddings, Rows]]
"""Maps queries, k and a bitmap of rows (None: all) to approximate best scores and rows."""
ListScan = Callable[[Embeddings, int, Any, int], tuple[Embeddings, Rows]]
"""Like `Scan`, in the lists nearest to each query; the last argument is their number."""


@dataclass(frozen=True, slots=True)
class Header:
    """The header of a file.

    Attributes
    ----------
    dtype : str
        "<f2" if normalising its values restores every vector bit for bit, else "<f4".
    slack : float
        Maximum difference of the norm of a stored row from 1.
    trained : int
        Number of vectors when the lists were trained; 0 for blocks.
    probes : int
        Lists that are searched for a query; gave `recall` when the file was written.
    recall : float
        Share of the ten best found then, for queries made from stored vectors.
    places : dict of str to int
        Offsets of the arrays in the body.
    """

    library: str
    space: str
    revision: int
    token: str
    dimension: int
    dtype: str
    count: int
    lists: int
    slack: float = 0.0
    trained: int = 0
    probes: int = 0
    recall: float = 1.0
    places: dict[str, int] | None = None

    def plain(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


class Stored:
    """The vectors of a file by row; rows are numbered in the order of the file.

    Attributes
    ----------
    ids : ndarray of shape (count,), int64
        Sorted.
    """

    def __init__(self, file: BinaryIO, length: int, header: Header) -> None:
        self.header = header
        self._faiss = import_faiss()
        self._body = np.memmap(file, np.uint8, "r", shape=(length,))
        self.count, self.dimension = header.count, header.dimension
        self.ids = self._array("ids", np.int64, self.count)
        self._row_of = self._array("rows", np.int64, self.count) if header.trained else None
        self._id_of = self._array("row_ids", np.int64, self.count) if header.trained else self.ids
        self.starts = np.concatenate([[0], np.cumsum(self._array("sizes", np.int64, header.lists))])
        self._code_bytes = np.dtype(header.dtype).itemsize * self.dimension
        self._window = self._every_place()
        self._ivf = self._inverted_file()

    def _array(self, name: str, dtype: Any, *shape: int) -> Any:
        start = (self.header.places or {})[name]
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return self._body[start : start + size].view(np.ndarray).view(dtype).reshape(shape)

    @property
    def centroids(self) -> Embeddings | None:
        """The centre of each list, of shape (lists, dimension); None for blocks."""
        if not self.header.trained:
            return None
        array: Embeddings = self._array("centroids", np.float32, self.header.lists, self.dimension)
        return array

    def _inverted_file(self) -> Any:
        """FAISS's view of the file, which reads our mapping without owning it."""
        faiss, header = self._faiss, self.header
        lists = faiss.OnDiskInvertedLists()
        lists.this.disown()  # or it would unmap our mapping; leaks a few kilobytes
        lists.nlist, lists.code_size, lists.read_only = header.lists, self._code_bytes, True
        lists.prefetch_nthread, lists.totsize = 0, len(self._body)
        lists.ptr = faiss.swig_ptr(self._body)
        sizes = np.diff(self.starts)
        table = np.stack([sizes, sizes, self.starts[:-1] * (self._code_bytes + 8)], axis=1)
        lists.lists.resize(header.lists)
        table = np.ascontiguousarray(table.astype(np.uint64)).view(np.uint8).ravel()
        faiss.memcpy(lists.lists.data(), faiss.swig_ptr(table), table.nbytes)
        self._quantizer = faiss.IndexFlatIP(self.dimension)
        if self.centroids is not None:
            self._quantizer.add(self.centroids)
        kind = faiss.ScalarQuantizer.QT_fp16
        metric = faiss.METRIC_INNER_PRODUCT
        arguments = (self._quantizer, self.dimension, header.lists)
        if header.dtype == HALF:
            ivf = faiss.IndexIVFScalarQuantizer(*arguments, kind, metric, False)
        else:
            ivf = faiss.IndexIVFFlat(*arguments, metric)
        ivf.replace_invlists(lists, False)
        ivf.is_trained, ivf.ntotal = True, self.count
        return ivf

    @property
    def raw(self) -> Any:
        """FAISS's own index over the file, for comparisons; it must not be changed."""
        self._ivf.nprobe = max(1, self.header.probes)
        return self._ivf

    def positions(self, ids: Ids) -> Ids:
        """Positions in `self.ids` of the `ids` that it contains, unique and sorted."""
        if not len(ids) or not self.count:
            return np.empty(0, np.int64)
        if len(ids) > self.count // 16:
            return np.flatnonzero(np.isin(self.ids, ids))
        ids = np.unique(ids)
        places = np.searchsorted(self.ids, ids).clip(max=self.count - 1)
        hits: Ids = places[self.ids[places] == ids]
        return hits

    def rows(self, positions: Ids) -> Rows:
        """The rows at these positions of `ids`."""
        if self._row_of is None:
            return positions
        rows: Rows = self._row_of[positions]
        return rows

    def ids_of(self, rows: Rows) -> Ids:
        """The ids of rows, int64, of the same shape."""
        ids: Ids = self._id_of[rows]
        return ids

    def codes(self, rows: Rows) -> NDArray[Any]:
        """Copies of the stored vectors, of shape (n, dimension)."""
        start = self.starts[self.lists_of(rows)]
        places = start * (self._code_bytes + 8) + (rows - start) * self._code_bytes
        codes: NDArray[Any] = self._window[places // gcd(self._code_bytes, 8)]
        return codes

    def _every_place(self) -> NDArray[Any]:
        """The lists as overlapping rows: one at each offset where a vector may begin."""
        item, step = np.dtype(self.header.dtype), gcd(self._code_bytes, 8)
        end = self.count * (self._code_bytes + 8)
        flat = self._body[:end].view(np.ndarray).view(item)
        shape = (max(0, (end - self._code_bytes) // step + 1), self.dimension)
        return np.lib.stride_tricks.as_strided(flat, shape, (step, item.itemsize), writeable=False)

    def vectors(self, rows: Rows) -> Embeddings:
        """The vectors of rows, bit for bit as they were added."""
        return decoded(self.codes(rows))

    def lists_of(self, rows: Rows) -> Ids:
        """The list number of each row."""
        lists: Ids = np.searchsorted(self.starts, rows, side="right") - 1
        return lists

    def best(
        self,
        queries: Embeddings,
        k: int,
        bitmap: NDArray[np.uint8] | None,
        scan: Scan | None = None,
        slack: float | None = None,
    ) -> tuple[Embeddings, Rows]:
        """The best k rows with their exact scores, best first; at least k rows must be allowed.

        An approximate scan finds candidates, which are then compared in float32. The result is
        certain if, by the bound `slack` of the scan's error, no other row can reach its last score;
        else the scan is repeated for more candidates.
        """
        scan = scan or self.scan_all
        slack = (self.header.slack if slack is None else slack) + ROUNDING
        wide = min(self.count, k + EXTRA_CANDIDATES)
        while True:
            approximate, rows = scan(queries, wide, bitmap)
            scores, rows = self.compared(queries, rows)
            certain = (rows[:, -1] < 0) | (scores[:, k - 1] >= approximate[:, -1] + slack)
            if wide == self.count or certain.all():
                return scores[:, :k], rows[:, :k]
            wide = min(self.count, 4 * wide)

    def near(
        self,
        queries: Embeddings,
        k: int,
        bitmap: NDArray[np.uint8] | None,
        scan: ListScan | None = None,
    ) -> tuple[Embeddings, Rows, int]:
        """Approximately the best k rows, from the lists nearest to each query, with exact scores.

        If those lists have fewer than k rows, more lists are searched. Also returns the number of
        lists searched.
        """
        scan, probes = scan or self.scan_near, max(1, self.header.probes)
        while True:
            _, rows = scan(queries, k + EXTRA_CANDIDATES, bitmap, probes)
            if probes >= self.header.lists or (rows[:, k - 1] >= 0).all():
                scores, rows = self.compared(queries, rows)
                return scores[:, :k], rows[:, :k], probes
            probes = min(self.header.lists, 4 * probes)

    def scan_near(
        self, queries: Embeddings, k: int, bitmap: NDArray[np.uint8] | None, probes: int
    ) -> tuple[Embeddings, Rows]:
        """Scan the lists nearest to each query; `probes` is their number."""
        return self.scan(queries, k, bitmap, self._nearest_lists(queries, probes))

    def _nearest_lists(self, queries: Embeddings, probes: int) -> Ids:
        def work(part: Embeddings) -> Ids:
            lists: Ids = self._quantizer.search(part, probes)[1]
            return lists

        if len(queries) == 1:
            return alone(lambda: work(queries))
        return np.concatenate(list(each(work, np.array_split(queries, threads()))))

    def scan_all(
        self, queries: Embeddings, k: int, bitmap: NDArray[np.uint8] | None
    ) -> tuple[Embeddings, Rows]:
        """Scan all lists; many queries at once become a product of matrices."""
        if len(queries) < BLAS_THRESHOLD:
            every = np.arange(self.header.lists, dtype=np.int64)
            return self.scan(queries, k, bitmap, np.tile(every, (len(queries), 1)))
        rows = np.arange(self.count)
        if bitmap is not None:
            rows = rows[np.unpackbits(bitmap, count=self.count, bitorder="little").astype(bool)]
        return self.product(queries, k, rows, self.as_stored)

    def as_stored(self, rows: Rows) -> Embeddings:
        """The stored vectors for a scan, which does not normalise them again."""
        codes = self.codes(rows)
        if self.header.dtype == SINGLE:
            return codes
        vectors: Embeddings = self._ivf.sq.decode(codes.view(np.uint8))
        return vectors

    def scan(
        self, queries: Embeddings, k: int, bitmap: NDArray[np.uint8] | None, lists: Ids
    ) -> tuple[Embeddings, Rows]:
        """Approximate scores and rows of the best k from some lists per query; row -1 for none.

        Parameters
        ----------
        lists : ndarray of shape (queries, n), int64
        """
        count = threads()
        if len(queries) >= count > 1:
            parts = zip(np.array_split(queries, count), np.array_split(lists, count), strict=True)
            results = list(each(lambda part: self._scan(part[0], k, bitmap, part[1]), parts))
            return np.concatenate([s for s, _ in results]), np.concatenate([r for _, r in results])
        if lists.shape[1] * len(queries) * self.count < count * self.header.lists * CHUNK_ROWS:
            return alone(lambda: self._scan(queries, k, bitmap, lists))  # too little work to split
        columns = np.array_split(lists, count, axis=1)
        return merged(each(lambda part: self._scan(queries, k, bitmap, part), columns), k)

    def _scan(
        self, queries: Embeddings, k: int, bitmap: NDArray[np.uint8] | None, lists: Ids
    ) -> tuple[Embeddings, Rows]:
        faiss, pointer = self._faiss, self._faiss.swig_ptr
        scores = np.full((len(queries), k), _NO_SCORE, np.float32)
        rows = np.full((len(queries), k), -1, np.int64)
        if not len(queries) or not lists.shape[1]:
            return scores, rows
        more = {"nprobe": lists.shape[1]}
        if bitmap is not None:
            more["sel"] = faiss.IDSelectorBitmap(bitmap)
        queries, lists = np.ascontiguousarray(queries), np.ascontiguousarray(lists)
        distances = np.zeros(lists.shape, np.float32)
        self._ivf.search_preassigned_c(
            len(queries), pointer(queries), k, pointer(lists), pointer(distances),
            pointer(scores), pointer(rows), False, faiss.SearchParametersIVF(**more),
        )  # fmt: skip
        return scores, rows

    def product(
        self, queries: Embeddings, k: int, rows: Rows, take: Callable[[Rows], Embeddings]
    ) -> tuple[Embeddings, Rows]:
        """The best k among some rows, by products of matrices; `take` returns their vectors."""
        knn, metric = self._faiss.knn, self._faiss.METRIC_INNER_PRODUCT

        def work(start: int) -> tuple[Embeddings, Rows]:
            part = rows[start : start + CHUNK_ROWS]
            scores, places = knn(queries, take(part), min(k, len(part)), metric=metric)
            return scores, part[places]

        return merged(each(work, range(0, len(rows), CHUNK_ROWS)), k)

    def compared(self, queries: Embeddings, rows: Rows) -> tuple[Embeddings, Rows]:
        """Candidates with exact scores, best first; row -1 gets the score -inf."""
        scores = np.full(rows.shape, _NO_SCORE, np.float32)
        for query, own, out in zip(queries, rows, scores, strict=True):
            valid = np.flatnonzero(own >= 0)
            for start in range(0, len(valid), CHUNK_ROWS):
                part = valid[start : start + CHUNK_ROWS]
                out[part] = self.vectors(own[part]) @ query
        order = np.argsort(-scores, axis=1, kind="stable")
        return np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1)


def merged(parts: Any, k: int) -> tuple[Embeddings, Rows]:
    """The best k of the results of several scans."""
    results = list(parts)
    scores = np.concatenate([scores for scores, _ in results], axis=1)
    rows = np.concatenate([rows for _, rows in results], axis=1)
    if scores.shape[1] > k:
        best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        scores, rows = np.take_along_axis(scores, best, 1), np.take_along_axis(rows, best, 1)
    order = np.argsort(-scores, axis=1, kind="stable")
    return np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1)


def joined(main: Matches, tail: Matches, k: int) -> Matches:
    """The best k of the main part of an index and of its tail."""
    scores, ids = merged([(main.scores, main.ids), (tail.scores, tail.ids)], k)
    methods = [part.method for part in (main, tail) if part.scores.shape[1]]
    return Matches(ids, scores, "; ".join(methods or [tail.method]))


def decoded(codes: NDArray[Any]) -> Embeddings:
    """Vectors from stored codes, bit for bit equal to those of the catalog."""
    return normalize(codes) if codes.dtype == np.dtype(HALF) else codes


def open_stored(path: str) -> tuple[Stored, BinaryIO, sealed_files.Sealed]:
    """Open the file at `path`; raises `ValueError` if it is damaged or of another kind."""
    file = open(path, "rb")  # noqa: SIM115 - `check` reads it while the index is open
    try:
        sealed = sealed_files.unseal(file)
        return Stored(file, sealed.length, Header(**sealed.header)), file, sealed
    except BaseException:
        file.close()
        raise
