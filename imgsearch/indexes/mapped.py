"""The main part of an index: a file that is mapped into memory and never changes.

Vectors lie in lists, one behind the other: all vectors of a list, then their row numbers. That is
how FAISS's `OnDiskInvertedLists` has them, and a scan of FAISS reads them where they lie. Lists are
the cells of a trained inverted file (Sivic and Zisserman 2003, "Video Google"; IVF in Douze et al.
2024, "The Faiss library"), or, in an untrained file, blocks in the order of ids.
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
from imgsearch.vectors import Embeddings, Ids, normalize

HALF, SINGLE = "<f2", "<f4"
CHUNK = 4096
"""Rows that are decoded and compared together; they stay in the processor's cache."""
MARGIN = 8
"""So many more candidates than asked for are compared in float32."""
ROUNDING = 1e-6
"""By how much two ways to sum the same product may differ."""
_NONE = np.float32(-np.inf)

Rows = Ids
Scan = Callable[[Embeddings, int, Any], tuple[Embeddings, Rows]]
"""Queries, k and a bitmap of rows (None: all) to the scores and rows of about the best k."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself.

    Attributes
    ----------
    dtype : str
        "<f2" where that gives back every vector bit by bit once it is normalised, else "<f4".
    slack : float
        By how much the norm of a row as it is stored differs from 1, at most.
    trained : int
        How many vectors there were when the lists were trained; 0 for blocks.
    probes : int
        Lists that are looked into for a query: so many gave `recall` when the file was written.
    recall : float
        Share of the ten best that were found then, in queries made from stored vectors.
    places : dict of str to int
        Where in the body the arrays lie.
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
        """For JSON."""
        return asdict(self)


class Stored:
    """Vectors in a file, by row; rows are numbered in the order in which they lie there.

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
        self._code = np.dtype(header.dtype).itemsize * self.dimension
        self._window = self._every_place()
        self._ivf = self._inverted_file()

    def _array(self, name: str, dtype: Any, *shape: int) -> Any:
        start = (self.header.places or {})[name]
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return self._body[start : start + size].view(np.ndarray).view(dtype).reshape(shape)

    @property
    def centroids(self) -> Embeddings | None:
        """The middle of each list, of shape (lists, dimension); None if they are blocks."""
        if not self.header.trained:
            return None
        found: Embeddings = self._array("centroids", np.float32, self.header.lists, self.dimension)
        return found

    def _inverted_file(self) -> Any:
        """FAISS's view of the file: it reads our mapping, and owns nothing of it."""
        faiss, header = self._faiss, self.header
        lists = faiss.OnDiskInvertedLists()
        lists.this.disown()  # it would unmap what is not its own; some kilobytes stay behind
        lists.nlist, lists.code_size, lists.read_only = header.lists, self._code, True
        lists.prefetch_nthread, lists.totsize = 0, len(self._body)
        lists.ptr = faiss.swig_ptr(self._body)
        sizes = np.diff(self.starts)
        table = np.stack([sizes, sizes, self.starts[:-1] * (self._code + 8)], axis=1)
        lists.lists.resize(header.lists)
        table = np.ascontiguousarray(table.astype(np.uint64)).view(np.uint8).ravel()
        faiss.memcpy(lists.lists.data(), faiss.swig_ptr(table), table.nbytes)
        self._quantizer = faiss.IndexFlatIP(self.dimension)
        if self.centroids is not None:
            self._quantizer.add(self.centroids)
        kind = faiss.ScalarQuantizer.QT_fp16
        metric = faiss.METRIC_INNER_PRODUCT
        given = (self._quantizer, self.dimension, header.lists)
        if header.dtype == HALF:
            ivf = faiss.IndexIVFScalarQuantizer(*given, kind, metric, False)
        else:
            ivf = faiss.IndexIVFFlat(*given, metric)
        ivf.replace_invlists(lists, False)
        ivf.is_trained, ivf.ntotal = True, self.count
        return ivf

    @property
    def raw(self) -> Any:
        """FAISS's own index over the file, for whoever wants to compare; nothing may be added."""
        self._ivf.nprobe = max(1, self.header.probes)
        return self._ivf

    def positions(self, ids: Ids) -> Ids:
        """Where in `self.ids` those of `ids` are that are there, each once, sorted."""
        if not len(ids) or not self.count:
            return np.empty(0, np.int64)
        if len(ids) > self.count // 16:
            return np.flatnonzero(np.isin(self.ids, ids))
        ids = np.unique(ids)
        places = np.searchsorted(self.ids, ids).clip(max=self.count - 1)
        found: Ids = places[self.ids[places] == ids]
        return found

    def rows(self, positions: Ids) -> Rows:
        """The rows of these places among the ids."""
        if self._row_of is None:
            return positions
        found: Rows = self._row_of[positions]
        return found

    def ids_of(self, rows: Rows) -> Ids:
        """The ids of rows, int64, of the same shape."""
        found: Ids = self._id_of[rows]
        return found

    def codes(self, rows: Rows) -> NDArray[Any]:
        """Vectors as they are stored, of shape (n, dimension), copied."""
        start = self.starts[self.lists_of(rows)]
        places = start * (self._code + 8) + (rows - start) * self._code
        found: NDArray[Any] = self._window[places // gcd(self._code, 8)]
        return found

    def _every_place(self) -> NDArray[Any]:
        """The lists as overlapping rows: one begins at each place where a vector could."""
        item, step = np.dtype(self.header.dtype), gcd(self._code, 8)
        end = self.count * (self._code + 8)
        flat = self._body[:end].view(np.ndarray).view(item)
        shape = (max(0, (end - self._code) // step + 1), self.dimension)
        return np.lib.stride_tricks.as_strided(flat, shape, (step, item.itemsize), writeable=False)

    def vectors(self, rows: Rows) -> Embeddings:
        """The vectors of rows, bit by bit as they were put in."""
        return decoded(self.codes(rows))

    def lists_of(self, rows: Rows) -> Ids:
        """The number of the list that each row lies in."""
        found: Ids = np.searchsorted(self.starts, rows, side="right") - 1
        return found

    def best(
        self,
        queries: Embeddings,
        k: int,
        bitmap: NDArray[np.uint8] | None,
        scan: Scan | None = None,
        slack: float | None = None,
    ) -> tuple[Embeddings, Rows]:
        """The best k rows with their exact scores, best first; there have to be so many.

        A scan by an approximate code finds candidates. They are compared in float32, and the
        answer is certain if what was not taken in cannot reach the last of it, by the bound
        `slack` of the scan's error; else more candidates are taken.
        """
        scan = scan or self.scan_all
        slack = (self.header.slack if slack is None else slack) + ROUNDING
        wide = min(self.count, k + MARGIN)
        while True:
            approximate, rows = scan(queries, wide, bitmap)
            scores, rows = self.compared(queries, rows)
            certain = (rows[:, -1] < 0) | (scores[:, k - 1] >= approximate[:, -1] + slack)
            if wide == self.count or certain.all():
                return scores[:, :k], rows[:, :k]
            wide = min(self.count, 4 * wide)

    def near(
        self, queries: Embeddings, k: int, bitmap: NDArray[np.uint8] | None
    ) -> tuple[Embeddings, Rows, int]:
        """About the best k rows, from the lists nearest to each query, with their exact scores.

        Where those hold fewer than k, more lists are looked into; the last result is how many.
        """
        probes = max(1, self.header.probes)
        while True:
            _, rows = self.scan(queries, k + MARGIN, bitmap, self._nearest_lists(queries, probes))
            if probes >= self.header.lists or (rows[:, k - 1] >= 0).all():
                scores, rows = self.compared(queries, rows)
                return scores[:, :k], rows[:, :k], probes
            probes = min(self.header.lists, 4 * probes)

    def _nearest_lists(self, queries: Embeddings, probes: int) -> Ids:
        def work(part: Embeddings) -> Ids:
            found: Ids = self._quantizer.search(part, probes)[1]
            return found

        if len(queries) == 1:
            return alone(lambda: work(queries))
        return np.concatenate(list(each(work, np.array_split(queries, threads()))))

    def scan_all(
        self, queries: Embeddings, k: int, bitmap: NDArray[np.uint8] | None
    ) -> tuple[Embeddings, Rows]:
        """A scan of every list: for many queries at once as a product of matrices."""
        if len(queries) < BLAS_THRESHOLD:
            every = np.arange(self.header.lists, dtype=np.int64)
            return self.scan(queries, k, bitmap, np.tile(every, (len(queries), 1)))
        rows = np.arange(self.count)
        if bitmap is not None:
            rows = rows[np.unpackbits(bitmap, count=self.count, bitorder="little").astype(bool)]
        return self.product(queries, k, rows, self._plain)

    def _plain(self, rows: Rows) -> Embeddings:
        """Vectors as a scan takes them: as stored, not brought to unit norm again."""
        codes = self.codes(rows)
        if self.header.dtype == SINGLE:
            return codes
        found: Embeddings = self._ivf.sq.decode(codes.view(np.uint8))
        return found

    def scan(
        self, queries: Embeddings, k: int, bitmap: NDArray[np.uint8] | None, lists: Ids
    ) -> tuple[Embeddings, Rows]:
        """Scores and rows of about the best k from some lists of each query; row -1 is none.

        Parameters
        ----------
        lists : ndarray of shape (queries, n), int64
        """
        count = threads()
        if len(queries) >= count > 1:
            parts = zip(np.array_split(queries, count), np.array_split(lists, count), strict=True)
            found = list(each(lambda part: self._scan(part[0], k, bitmap, part[1]), parts))
            return np.concatenate([s for s, _ in found]), np.concatenate([r for _, r in found])
        if lists.shape[1] * len(queries) * self.count < count * self.header.lists * CHUNK:
            return alone(lambda: self._scan(queries, k, bitmap, lists))  # too little to share
        columns = np.array_split(lists, count, axis=1)
        return merged(each(lambda part: self._scan(queries, k, bitmap, part), columns), k)

    def _scan(
        self, queries: Embeddings, k: int, bitmap: NDArray[np.uint8] | None, lists: Ids
    ) -> tuple[Embeddings, Rows]:
        faiss, pointer = self._faiss, self._faiss.swig_ptr
        scores = np.full((len(queries), k), _NONE, np.float32)
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
        """The best k among some rows, by products of matrices; `take` gives their vectors."""
        knn, metric = self._faiss.knn, self._faiss.METRIC_INNER_PRODUCT

        def work(start: int) -> tuple[Embeddings, Rows]:
            part = rows[start : start + CHUNK]
            scores, found = knn(queries, take(part), min(k, len(part)), metric=metric)
            return scores, part[found]

        return merged(each(work, range(0, len(rows), CHUNK)), k)

    def compared(self, queries: Embeddings, rows: Rows) -> tuple[Embeddings, Rows]:
        """Exact scores of candidates, in their order; row -1 gets the score of none."""
        scores = np.full(rows.shape, _NONE, np.float32)
        for query, own, out in zip(queries, rows, scores, strict=True):
            there = np.flatnonzero(own >= 0)
            for start in range(0, len(there), CHUNK):
                part = there[start : start + CHUNK]
                out[part] = self.vectors(own[part]) @ query
        order = np.argsort(-scores, axis=1, kind="stable")
        return np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1)


def merged(parts: Any, k: int) -> tuple[Embeddings, Rows]:
    """The best k of the results of several scans."""
    found = list(parts)
    scores = np.concatenate([scores for scores, _ in found], axis=1)
    rows = np.concatenate([rows for _, rows in found], axis=1)
    if scores.shape[1] > k:
        best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        scores, rows = np.take_along_axis(scores, best, 1), np.take_along_axis(rows, best, 1)
    order = np.argsort(-scores, axis=1, kind="stable")
    return np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1)


def decoded(codes: NDArray[Any]) -> Embeddings:
    """Vectors from what is stored: the same bits as the catalog's."""
    return normalize(codes) if codes.dtype == np.dtype(HALF) else codes


def open_stored(path: str) -> tuple[Stored, BinaryIO, sealed_files.Sealed]:
    """The file at `path`; raises ValueError if it is damaged or of another kind."""
    file = open(path, "rb")  # noqa: SIM115 - `check` reads it as long as the index is open
    try:
        sealed = sealed_files.unseal(file)
        return Stored(file, sealed.length, Header(**sealed.header)), file, sealed
    except BaseException:
        file.close()
        raise
