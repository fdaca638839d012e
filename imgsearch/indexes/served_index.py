"""An index on a server: the main part is there, later changes are in memory.

It is built like `FaissIndex`, with rows on a server in place of a file. Searches do not write to
the server: they replay what the catalog has changed since the stored revision. `flush` and `build`
write, under the catalog's writer lock.

Crashes. Data goes first, the state (revision and token) last. If a flush was cut off, the server
still has the old state, so that every change since then is replayed. Each id of the lost flush is
then among the changed ones, for which the rows on the server do not count. An engine without
transactions is therefore safe as well. `build` fills a new generation of rows beside the live one,
and then makes it the live one; leftovers of a killed build are dropped by the next write (ADR 32).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from imgsearch.errors import IndexServerError
from imgsearch.indexes.builder import NotHalfPrecision, stored_as
from imgsearch.indexes.mapped_vectors import CHUNK_ROWS, HALF, ROUNDING, SINGLE, decoded, joined
from imgsearch.indexes.memory_index import MemoryIndex
from imgsearch.records import ChangeBatch, IndexState, Revision
from imgsearch.vectors import Embeddings, EmbeddingSpace, Ids, Matches

EXACT = "#exact"
"""The end of a URL that asks for exact searches at any size."""
EXTRA_CANDIDATES = 32
"""Candidates beyond k that are compared in float32: a second scan costs more than to fetch them."""
Codes = NDArray[Any]
"""Vectors as stored, shape (n, dimension): float16 that `decoded` restores bit for bit, or float32
where there is none."""
Source = Callable[[], Iterator[tuple[Ids, Embeddings]]]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Generation:
    """A complete set of rows on a server, and the state of the catalog that they show.

    Attributes
    ----------
    name : str
        Random, so that no writer ever meets the rows of another one; "" for nothing stored.
    dtype : str
        "<f2" or "<f4", see `Codes`.
    slack : float
        Maximum difference of the norm of a stored row from 1.
    trained : int
        Number of vectors when the approximate index was made; 0 without one.
    approximate : str
        Name of the approximate index, if it is not part of the rows.
    """

    name: str = ""
    revision: Revision = 0
    token: str = ""
    dtype: str = HALF
    slack: float = 0.0
    trained: int = 0
    approximate: str = ""


class GenerationGone(IndexServerError):
    """The rows of a generation were dropped, because a newer one is live."""

    def __init__(self) -> None:
        super().__init__(
            "the index on the server was replaced by another process", "Run the command again."
        )


@dataclass(frozen=True, slots=True)
class Selection:
    """Rows that may be found.

    Attributes
    ----------
    only : Ids or None
        Only these; None for all.
    without : Ids
        Excluding these.
    """

    only: Ids | None
    without: Ids


class Store(Protocol):
    """An engine that keeps generations of rows for one library and space.

    Methods that read raise `GenerationGone`; all raise `IndexServerError`.

    Attributes
    ----------
    half : bool
        True if rows in float16 are taken.
    """

    half: bool

    @property
    def engine(self) -> str:
        """Name, versions and address, without a password."""

    def trainable(self, generation: Generation) -> bool:
        """True if the approximate index takes vectors of this length."""

    def live(self) -> Generation:
        """The generation whose state was committed last."""

    def check(self, generation: Generation) -> str:
        """The fault of its rows, in words; "" if there is none."""

    def count(self, generation: Generation, without: Ids) -> int:
        """Number of rows whose id is not among these."""

    def missing(self, generation: Generation, ids: Ids) -> Ids:
        """The `ids` that have no row."""

    def codes(self, generation: Generation, ids: Ids) -> tuple[Ids, Codes]:
        """Ids and rows of the `ids` that have a row, in any order."""

    def pages(self, generation: Generation) -> Iterator[tuple[Ids, Codes]]:
        """All rows, in the order of ids, some thousand at a time."""

    def nearest(
        self, generation: Generation, query: Embeddings, k: int, rows: Selection, method: str
    ) -> tuple[Ids, NDArray[np.float64], Codes]:
        """The best k by inner product, or all if there are fewer, best first.

        Parameters
        ----------
        query : ndarray of shape (dimension,)
        method : {"scan", "precise", "trained"}
            All rows as stored; all rows, normalised, in float32; or the approximate index, which
            may return fewer than there are.

        Returns
        -------
        ids, scores, codes
            Scores as the engine has computed them.
        """

    def fill(
        self,
        dtype: str,
        rows: Iterable[tuple[Ids, Codes]],
        revision: Revision,
        token: str,
    ) -> Generation:
        """Write a new generation and make it the live one; drops those that are not live."""

    def replace(
        self,
        generation: Generation,
        gone: Ids,
        rows: Iterable[tuple[Ids, Codes]],
        revision: Revision,
        token: str,
    ) -> Generation:
        """Remove the rows `gone`, add others, and move the live generation to a new state.

        Raises
        ------
        IndexServerError
            The stored state is no longer that of `generation`.
        """

    def train(self, generation: Generation) -> Generation:
        """Make the approximate index, or make it again."""


def require_dimension(engine: str, maximum: int, space: EmbeddingSpace) -> None:
    """Raise `IndexServerError` for vectors that an engine does not take."""
    if space.dimension > maximum:
        raise IndexServerError(
            f"{engine} takes vectors of at most {maximum} numbers, and {space.model} has"
            f" {space.dimension}",
            "Index with a smaller --dimension, or without the server: --index auto",
        )


class ServedIndex:
    """A `VectorIndex` on a server.

    Parameters
    ----------
    where : str
        URL of the server. With `EXACT` at its end, no search is approximate.
    library : str
        The catalog's uuid.
    """

    trained_from = 100_000
    """Number of vectors from which an unfiltered search uses the approximate index."""
    exact_filter_up_to = 1_000_000
    """Number of vectors up to which a filtered search compares each of them."""

    def __init__(self, where: str, library: str, space: EmbeddingSpace) -> None:
        self.space, self._library = space, library
        self._always_exact = where.endswith(EXACT)
        self._store = self.store(where.removesuffix(EXACT), library, space)
        self.doubt = ""
        self._take(self._store.live())

    @classmethod
    def store(cls, where: str, library: str, space: EmbeddingSpace) -> Store:
        """The engine at a URL, connected."""
        raise NotImplementedError

    @classmethod
    def stored(cls, where: str, library: str, space: EmbeddingSpace) -> IndexState:
        return cls(where, library, space).state

    # State

    def _take(self, main: Generation) -> None:
        self._main = main
        self._tail = MemoryIndex("", self._library, self.space)
        self._changed: Ids = np.empty(0, np.int64)
        self._forget_caches()
        self.revision, self.token = main.revision, main.token

    def _forget_caches(self) -> None:
        self._count: int | None = None
        self._present: Ids = np.empty(0, np.int64)

    def clear(self) -> None:
        self.doubt = ""
        self._take(Generation())

    def reload(self) -> None:
        live = self._store.live()
        if (live.revision, live.token) != (self._main.revision, self._main.token):
            self._take(live)

    def check(self) -> str:
        return self._ask(self._store.check) if self._main.name else ""

    def _ask(self, question: Callable[[Generation], T]) -> T:
        """The answer of the server, about the live generation if that in use was dropped.

        Rows whose ids did not change are the same in both.
        """
        try:
            return question(self._main)
        except GenerationGone:
            self._main = self._store.live()
        if not self._main.name:
            self.clear()
            raise IndexServerError(
                f"the index was removed from {self._store.engine}",
                "Run the command again: the index is rebuilt from the catalog.",
            )
        return question(self._main)

    @property
    def _live(self) -> int:
        """Number of vectors on the server that are not removed or replaced."""
        if self._count is None:
            stored = self._main.name
            self._count = (
                self._ask(lambda main: self._store.count(main, self._changed)) if stored else 0
            )
        return self._count

    def __len__(self) -> int:
        return self._live + len(self._tail)

    @property
    def state(self) -> IndexState:
        return IndexState(
            self.revision, self.token, self.unflushed(), self.due, self.doubt, self.described()
        )

    def unflushed(self) -> int:
        """Number of vectors that were added, replaced or removed since the last flush."""
        return len(self._changed)

    @property
    def due(self) -> bool:
        return not self._main.trained and self._worth_training

    @property
    def _worth_training(self) -> bool:
        return self._store.trainable(self._main) and 0 < self.trained_from <= len(self)

    def described(self) -> str:
        single = " (float32)" if self._main.name and self._main.dtype == SINGLE else ""
        return f"{self._method}{single} on {self._store.engine}"

    @property
    def _method(self) -> str:
        return "HNSW" if self._main.trained and not self._always_exact else "exact"

    # Vectors

    def among(self, ids: Ids) -> Ids:
        """The `ids` that the index holds, sorted."""
        stored = self._stored(ids)
        return np.union1d(stored, self._tail.among(ids)) if len(self._tail) else stored

    def _stored(self, ids: Ids) -> Ids:
        """The `ids` that have a valid row on the server, unique and sorted.

        A search gets the ids that `among` has returned just before: these are not looked up again.
        """
        ids = self._unchanged(ids)
        if not self._main.name or not len(ids):
            return ids[:0]
        if not np.array_equal(ids, self._present):
            missing = self._ask(lambda main: self._store.missing(main, ids))
            self._present = np.setdiff1d(ids, missing)
        return self._present

    def _unchanged(self, ids: Ids) -> Ids:
        """The `ids` that are not removed or replaced, unique and sorted."""
        return np.setdiff1d(ids, self._changed) if len(self._changed) else np.unique(ids)

    def ids(self) -> Ids:
        """All ids, sorted; reads the whole index, so no search calls it."""
        parts = [ids for ids, _ in self._rows()]
        return np.sort(np.concatenate([np.empty(0, np.int64), *parts]))

    def vectors(self, ids: Ids) -> Embeddings:
        late = np.isin(ids, self._tail.ids())
        out = np.empty((len(ids), self.space.dimension), np.float32)
        out[late] = self._tail.vectors(ids[late])
        out[~late] = self._stored_vectors(ids[~late])
        return out

    def _stored_vectors(self, ids: Ids) -> Embeddings:
        """The vectors of rows on the server; KeyError if one is missing or not valid."""
        held, codes = ids[:0], np.empty((0, self.space.dimension), HALF)
        wanted = self._unchanged(ids)
        if len(wanted) and self._main.name:
            held, codes = self._ask(lambda main: self._store.codes(main, wanted))
        if len(lost := np.setdiff1d(ids, held)):
            raise KeyError(int(lost[0]))
        order = np.argsort(held)
        rows: Embeddings = decoded(codes[order])[np.searchsorted(held[order], ids)]
        return rows

    def _rows(self) -> Iterator[tuple[Ids, Embeddings]]:
        """All ids and vectors: the valid ones on the server, then the tail."""
        if self._main.name:
            for ids, codes in self._store.pages(self._main):
                kept = ~np.isin(ids, self._changed)
                yield ids[kept], decoded(codes[kept])
        yield from self._late_rows()

    def _late_rows(self) -> Iterator[tuple[Ids, Embeddings]]:
        """Ids and vectors of the tail."""
        ids = self._tail.ids()
        for start in range(0, len(ids), CHUNK_ROWS):
            part = ids[start : start + CHUNK_ROWS]
            yield part, self._tail.vectors(part)

    # Changes

    def apply(self, changes: ChangeBatch) -> None:
        self._changed = np.union1d(self._changed, np.append(changes.removals, changes.ids))
        self._tail.apply(changes)
        self._forget_caches()
        self.revision, self.token = changes.revision, changes.token

    def flush(self, train: bool = False, retrain: bool = False) -> None:
        stored = (self._main.revision, self._main.token)
        if self.unflushed() or stored != (self.revision, self.token):
            self._write()
        if train and self._worth_training and (retrain or not self._main.trained):
            self._main = self._store.train(self._main)

    def _write(self) -> None:
        state, main = (self.revision, self.token), self._main
        if main.name:
            with suppress(NotHalfPrecision):
                rows = _coded(main.dtype, self._late_rows())
                self._take(self._store.replace(main, self._changed, rows, *state))
                return
        self._fill(self._rows, *state)

    def build(
        self,
        revision: Revision,
        token: str,
        batches: Callable[[], Iterable[ChangeBatch]],
        train: bool = False,
    ) -> None:
        self._fill(lambda: ((each.ids, each.vectors) for each in batches()), revision, token)
        self.doubt = ""
        if train and self.due:
            self._main = self._store.train(self._main)

    def _fill(self, source: Source, revision: Revision, token: str) -> None:
        if self._store.half:
            with suppress(NotHalfPrecision):
                self._take(self._store.fill(HALF, _coded(HALF, source()), revision, token))
                return
        self._take(self._store.fill(SINGLE, _coded(SINGLE, source()), revision, token))

    # Searches

    def search(self, queries: Embeddings, k: int, allowed: Ids | None = None) -> Matches:
        queries = np.ascontiguousarray(queries, np.float32)
        main = self._in_main(queries, k, allowed)
        if not len(self._tail):
            return main
        return joined(main, self._tail.search(queries, k, allowed), k)

    def _in_main(self, queries: Embeddings, k: int, allowed: Ids | None) -> Matches:
        if allowed is None:
            rows, count = Selection(None, self._changed), self._live
        else:
            stored = self._stored(allowed)
            rows, count = Selection(stored, stored[:0]), len(stored)
            if count == self._live:  # all pass, and a scan without a list of ids is faster
                rows = Selection(None, self._changed)
        if k <= 0 or not count or not self._main.name:
            return Matches(*_nothing(len(queries)))
        trained = self._uses_training(0 if allowed is None else count)
        results = [self._best(each, k, rows, trained) for each in queries]
        if not results:
            return Matches(*_nothing(0))
        ids, scores = (np.stack(part) for part in zip(*results, strict=True))
        return Matches(ids, scores, _in_words(allowed is not None, count, trained))

    def _uses_training(self, selected: int) -> bool:
        """True for a search without a filter, or with one that selects very many vectors."""
        if not self._main.trained or not self.trained_from or self._always_exact:
            return False
        return not selected or selected > self.exact_filter_up_to

    def _best(
        self, query: Embeddings, k: int, rows: Selection, trained: bool
    ) -> tuple[Ids, NDArray[np.float32]]:
        """The best k with their exact scores.

        A scan compares rows as stored with the query rounded to float16. Its candidates are
        compared again with the vectors of the catalog, which the rows restore bit for bit. The
        result is certain if rows are float32, or if no row that was left out can reach its last
        score; else the server scans again, and computes scores in float32 from normalised rows.
        """
        wide = k + EXTRA_CANDIDATES

        def nearest(method: str) -> tuple[Ids, NDArray[np.float64], Codes]:
            return self._ask(lambda main: self._store.nearest(main, query, wide, rows, method))

        if trained:
            found = nearest("trained")
            if len(found[0]) >= k:
                return _compared(query, k, found)
        found = nearest("scan")
        best = _compared(query, k, found)
        if len(found[0]) < wide or self._main.dtype == SINGLE:
            return best
        if best[1][-1] >= found[1][-1] + _scan_error(query, self._main):
            return best
        return _compared(query, k, nearest("precise"))


def _in_words(filtered: bool, count: int, trained: bool) -> str:
    """The method of a search."""
    if not trained:
        return f"exact scan of {count} vectors on the server"
    if not filtered:
        return f"HNSW over {count} vectors on the server, compared exactly"
    return (
        f"approximate: HNSW on the server, {count} vectors of it selected;"
        " --exact compares each of them"
    )


def _coded(dtype: str, rows: Iterable[tuple[Ids, Embeddings]]) -> Iterator[tuple[Ids, Codes]]:
    """Rows as stored; may raise `NotHalfPrecision`."""
    return ((ids, stored_as(dtype, vectors)) for ids, vectors in rows)


def _nothing(queries: int) -> tuple[Ids, NDArray[np.float32]]:
    return np.empty((queries, 0), np.int64), np.empty((queries, 0), np.float32)


def _compared(
    query: Embeddings, k: int, found: tuple[Ids, NDArray[np.float64], Codes]
) -> tuple[Ids, NDArray[np.float32]]:
    """The best k of the candidates, with the inner products of their vectors in float32."""
    scores = decoded(found[2]) @ query
    order = np.argsort(-scores, kind="stable")[:k]
    return found[0][order], scores[order]


def _scan_error(query: Embeddings, main: Generation) -> float:
    """Maximum error of a scan's score.

    A row c of norm 1 +- s stands for the vector c/|c|, and the rounded query q' for q. By Cauchy
    and Schwarz q'c differs from qc by |q'-q||c| at most, and qc from qc/|c| by s.
    """
    rounding = float(np.linalg.norm(query - query.astype(HALF).astype(np.float32)))
    return rounding * (1 + main.slack) + main.slack + 2 * ROUNDING
