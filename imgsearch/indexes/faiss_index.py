"""The FAISS kinds of index: when lists are trained, and how they are searched.

All kinds share one file format, so each can open files of the others. The main part is immutable
and on disk. Later changes of the catalog are in memory: new vectors in an exact tail, and a mask of
vectors in the main part that were removed or replaced. Both parts are searched together.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray

from imgsearch.errors import CatalogError, TooManyFiles, is_too_many_files
from imgsearch.indexes import builder, gpus, sealed_files
from imgsearch.indexes.gpu_copy import GpuCopy, copied, reason
from imgsearch.indexes.mapped_vectors import CHUNK_ROWS, HALF, Header, Stored, joined, open_stored
from imgsearch.indexes.memory_index import MemoryIndex
from imgsearch.indexes.threads import import_faiss
from imgsearch.records import ChangeBatch, IndexState, Revision
from imgsearch.vectors import Embeddings, EmbeddingSpace, Ids, Matches, members

MAX_GATHERED_BYTES = 8 << 20
"""Vectors up to this size are copied out of the index and compared; more are scanned in place.

Up to this size the copy stays in the processor's cache. Measured by `benchmarks/filters.py`.
"""

T = TypeVar("T")


class FaissIndex:
    """The kind `auto`: exact if small, an inverted file from `trained_from` vectors on.

    A process that searches often has a copy of the main part on GPUs, if there are any that FAISS
    can use and if it fits.

    Parameters
    ----------
    where : str
        Folder of the index files; need not exist.
    library : str
        The catalog's uuid.

    Attributes
    ----------
    doubt : str
        Why the file on disk was not used, in words; "" if it was used.
    """

    trained_from = 100_000
    """Measured: docs/PERFORMANCE.md, "Where lists begin"."""
    gpu_after: int | None = gpus.AUTO_QUERIES
    """Number of queries after which the main part is copied to GPUs; None for never."""
    gpu_copy = staticmethod(copied)

    def __init__(self, where: str, library: str, space: EmbeddingSpace) -> None:
        import_faiss()
        self._folder = where
        self._library = library
        self.space = space
        self._note: Callable[[str], None] = _no_note
        self._noted = ""
        self._queries = 0
        self.clear()
        self.reload()

    @classmethod
    def stored(cls, where: str, library: str, space: EmbeddingSpace) -> IndexState:
        name = sealed_files.newest(where, library, space.key)
        if name is None:
            return IndexState(0, "", 0, False, "", "")
        try:
            with open(os.path.join(where, str(name)), "rb") as file:
                header = sealed_files.unseal(file, whole=False).header
        except (OSError, ValueError) as error:
            return IndexState(name.revision, "", 0, False, _first_line(error), "")
        due = builder.overdue(header["count"], header["trained"], cls.trained_from)
        kind = sealed_files.described(header)
        return IndexState(name.revision, header["token"], 0, due, "", kind)

    def clear(self) -> None:
        self.doubt = ""
        self._take(None, None, None)
        self._flushed: Revision = -1

    def _take(
        self, main: Stored | None, file: BinaryIO | None, sealed: sealed_files.Sealed | None
    ) -> None:
        self._main, self._file, self._sealed = main, file, sealed
        self._tail = MemoryIndex(self._folder, self._library, self.space)
        self._kept: NDArray[np.bool_] | None = None
        self._forget_caches()
        self._copy: GpuCopy | None = None
        self._refusal = ""
        self.revision: Revision = main.header.revision if main else 0
        self.token = main.header.token if main else ""

    def _forget_caches(self) -> None:
        self._all: Ids | None = None
        self._bits: NDArray[np.uint8] | None = None

    @property
    def main(self) -> Stored | None:
        """The part on disk, if there is one."""
        return self._main

    def reload(self) -> None:
        """Open the newest file; retries, because a writer may replace it meanwhile."""
        for _ in range(3):
            name = sealed_files.newest(self._folder, self._library, self.space.key)
            if name is None or (self._main is not None and name.revision <= self._flushed):
                return
            try:
                main, file, sealed = open_stored(os.path.join(self._folder, str(name)))
            except FileNotFoundError:
                continue
            except sealed_files.EarlierFile:
                self.clear()
                self.doubt = "the index file was written by an earlier version of imgsearch"
                return
            except (OSError, ValueError, TypeError, KeyError, RuntimeError) as error:
                if isinstance(error, OSError) and is_too_many_files(error):
                    raise TooManyFiles from error
                self.clear()
                self.doubt = f"the index file {name} is damaged ({_first_line(error)})"
                return
            content = (main.header.library, main.header.space, main.header.revision)
            if content != name or main.dimension != self.space.dimension:
                self.clear()
                self.doubt = f"the index file {name} is of another kind"
                return
            self._take(main, file, sealed)
            self.doubt, self._flushed = "", name.revision
            return

    def check(self) -> str:
        if self._file is None or self._sealed is None:
            return ""
        try:
            sealed_files.check(self._file, self._sealed)
        except (OSError, ValueError) as error:
            return f"the index file is damaged ({_first_line(error)})"
        return ""

    @property
    def _live(self) -> int:
        """Number of vectors of the main part that are not removed or replaced."""
        if self._main is None:
            return 0
        return self._main.count if self._kept is None else int(self._kept.sum())

    def __len__(self) -> int:
        return self._live + len(self._tail)

    @property
    def state(self) -> IndexState:
        return IndexState(
            self.revision, self.token, self.unflushed(), self.due, self.doubt, self.described()
        )

    def among(self, ids: Ids) -> Ids:
        """The `ids` that the index holds, sorted."""
        return members(self.ids(), ids)

    def ids(self) -> Ids:
        if self._all is None:
            main = self._main.ids if self._main else np.empty(0, np.int64)
            main = main if self._kept is None else main[self._kept]
            tail = self._tail.ids()
            self._all = np.sort(np.concatenate([main, tail]), kind="stable") if len(tail) else main
        return self._all

    def vectors(self, ids: Ids) -> Embeddings:
        out = np.empty((len(ids), self.space.dimension), np.float32)
        places = np.searchsorted(self.ids(), ids).clip(max=max(0, len(self) - 1))
        known = self.ids()[places] == ids if len(self) else np.zeros(len(ids), bool)
        if not known.all():
            raise KeyError(int(np.asarray(ids)[~known][0]))
        in_tail = np.isin(ids, self._tail.ids())
        out[in_tail] = self._tail.vectors(ids[in_tail])
        if self._main is not None and not in_tail.all():
            positions = np.searchsorted(self._main.ids, ids[~in_tail])
            out[~in_tail] = self._main.vectors(self._main.rows(positions))
        return out

    def apply(self, changes: ChangeBatch) -> None:
        touched = np.concatenate([changes.removals, changes.ids])
        positions = self._positions(touched)
        if len(positions):
            if self._kept is None:
                self._kept = np.ones(self._main.count if self._main else 0, np.bool_)
            self._kept[positions] = False
        self._tail.apply(changes)
        self._forget_caches()
        self.revision, self.token = changes.revision, changes.token

    def _positions(self, ids: Ids) -> Ids:
        """Positions in the main part of these ids, without removed or replaced vectors."""
        if self._main is None:
            return np.empty(0, np.int64)
        positions = self._main.positions(ids)
        return positions if self._kept is None else positions[self._kept[positions]]

    def unflushed(self) -> int:
        """Number of vectors that were added or removed since the file was written."""
        gone = 0 if self._kept is None else len(self._kept) - self._live
        return max(gone, len(self._tail))

    @property
    def due(self) -> bool:
        trained = self._main.header.trained if self._main else 0
        return builder.overdue(len(self), trained, self.trained_from)

    def described(self) -> str:
        if self._sealed is None:
            return "exact, in memory"
        place = f"; searched on {self._copy.place}" if self._copy else ""
        refusal = f"; searched on the processor: {self._refusal}" if self._refusal else ""
        return sealed_files.described(self._sealed.header) + place + refusal

    def prepare(self, note: Callable[[str], None]) -> None:
        """Copy the main part to GPUs if each search uses them; `note` gets the reason if not."""
        self._note = note
        self._on_gpus(lambda copy: copy)

    @property
    def _gpus_are_due(self) -> bool:
        if self.gpu_after is None or self._refusal or self._queries < self.gpu_after:
            return False
        return self.gpu_after == 0 or gpus.count() > 0

    def _on_gpus(self, work: Callable[[GpuCopy], T]) -> T | None:
        """The result of `work` with the copy on GPUs; None if the processor must compute it."""
        if self._main is None or not self._gpus_are_due:
            return None
        try:
            if self._copy is None:
                self._copy = self.gpu_copy(self._main)
            return work(self._copy)
        except gpus.NoGpu as error:
            self._refuse(str(error))
        except RuntimeError as error:  # FAISS's errors, for instance that memory has run out
            self._refuse(reason(error))
        return None

    def _refuse(self, refusal: str) -> None:
        """Search this file on the processor from now on, and say so once."""
        self._copy, self._refusal = None, refusal
        if refusal != self._noted:
            self._noted = refusal
            self._note(f"The index is searched on the processor, not on a GPU: {refusal}.")

    def flush(self, train: bool = False, retrain: bool = False) -> None:
        if self.revision == self._flushed and not (train and (self.due or retrain)):
            return
        self._write(self.revision, self.token, self._rows, train, retrain)

    def build(
        self,
        revision: Revision,
        token: str,
        batches: Callable[[], Iterable[ChangeBatch]],
        train: bool = False,
    ) -> None:
        def rows(dtype: str) -> Iterator[tuple[Ids, NDArray[Any], Ids]]:
            for changes in batches():
                none = np.full(len(changes.ids), -1, np.int64)
                yield changes.ids, builder.stored_as(dtype, changes.vectors), none

        self._write(revision, token, rows, train, retrain=False)

    def _write(
        self, revision: Revision, token: str, rows: builder.Source, train: bool, retrain: bool
    ) -> None:
        """Write a file and switch to it; raises `CatalogError` if that fails."""
        name = sealed_files.IndexName(self._library, self.space.key, revision)
        header = Header(*name, token, self.space.dimension, HALF, 0, 0)
        plan = builder.Plan(header, train=self.trained_from if train else 0)
        main = self._main
        keep = self._lists_fit or not train
        if main is not None and main.header.trained and keep and not retrain:
            plan = replace(plan, centroids=main.centroids, trained=main.header.trained)
        try:
            sealed_files.write(self._folder, name, lambda path: builder.save(path, rows, plan))
        except (OSError, RuntimeError) as error:
            raise CatalogError(
                f"the index file cannot be written: {_first_line(error)}",
                "Free some space on the disk of the library and run the command again; nothing "
                "is lost, because the index is built from the catalog.",
            ) from error
        self.clear()
        self.reload()

    @property
    def _lists_fit(self) -> bool:
        """True if the trained lists of the main part should be kept: not if most of it is gone."""
        return 0 < self.trained_from <= 2 * len(self)

    def _rows(self, dtype: str) -> Iterator[tuple[Ids, NDArray[Any], Ids]]:
        """The rows of a new file: the rest of the main part in its order, then the tail."""
        main, tail = self._main, self._tail
        if main is not None:
            kept = slice(None) if self._kept is None else self._kept
            rows = np.sort(main.rows(np.arange(main.count)[kept]))
            for part in (
                rows[start : start + CHUNK_ROWS] for start in range(0, len(rows), CHUNK_ROWS)
            ):
                codes = main.codes(part)
                if main.header.dtype != dtype:
                    codes = builder.stored_as(dtype, main.vectors(part))
                yield main.ids_of(part), codes, main.lists_of(part)
        ids = tail.ids()
        for part in (ids[start : start + CHUNK_ROWS] for start in range(0, len(ids), CHUNK_ROWS)):
            codes = builder.stored_as(dtype, tail.vectors(part))
            yield part, codes, np.full(len(part), -1, np.int64)

    def search(self, queries: Embeddings, k: int, allowed: Ids | None = None) -> Matches:
        queries = np.ascontiguousarray(queries, np.float32)
        self._queries += len(queries)
        main = self._in_main(queries, k, allowed)
        if not len(self._tail):
            return main
        return joined(main, self._tail.search(queries, k, allowed), k)

    def _in_main(self, queries: Embeddings, k: int, allowed: Ids | None) -> Matches:
        main = self._main
        positions = None if allowed is None else self._positions(allowed)
        count = self._live if positions is None else len(positions)
        k = min(k, count)
        if k <= 0 or not len(queries) or main is None:
            shape = (len(queries), max(k, 0))
            return Matches(np.empty(shape, np.int64), np.empty(shape, np.float32))
        if positions is not None and count * self.space.dimension * 4 <= MAX_GATHERED_BYTES:
            scores, rows = main.product(queries, k, main.rows(positions), main.vectors)
            method = f"the {count} vectors that pass, gathered from {main.count} and compared"
        elif main.header.trained and self.trained_from and positions is None:
            scores, rows, probes, place = self._near(main, queries, k, self._bitmap(None))
            method = f"{probes} of {main.header.lists} lists of {count} vectors, compared exactly"
            method += place
        else:
            scores, rows, method = self._exact(main, queries, k, self._bitmap(positions))
            method += (
                f" of {count} vectors"
                if count == main.count
                else (f" of {main.count} vectors, {count} of them selected by a bitmap")
            )
        return Matches(main.ids_of(rows), scores, method)

    def _exact(
        self, main: Stored, queries: Embeddings, k: int, bitmap: NDArray[np.uint8] | None
    ) -> tuple[Embeddings, Ids, str]:
        """The exact best k, and the method in words."""
        found = self._on_gpus(
            lambda copy: (
                *main.best(queries, k, bitmap, copy.scan, copy.slack),
                f"FAISS scan on {copy.place}",
            )
        )
        return found or (*main.best(queries, k, bitmap), "FAISS scan")

    def _near(
        self, main: Stored, queries: Embeddings, k: int, bitmap: NDArray[np.uint8] | None
    ) -> tuple[Embeddings, Ids, int, str]:
        """The best k of the nearest lists, the number of lists, and the place in words."""
        found = self._on_gpus(
            lambda copy: (*main.near(queries, k, bitmap, copy.scan), f", on {copy.place}")
        )
        return found or (*main.near(queries, k, bitmap), "")

    def _bitmap(self, positions: Ids | None) -> NDArray[np.uint8] | None:
        """A bitmap of the rows that may be found; None if all may."""
        assert self._main is not None
        if positions is None and self._kept is None:
            return None
        if positions is None and self._bits is not None:
            return self._bits
        mask = np.zeros(self._main.count, np.bool_)
        if positions is None:
            assert self._kept is not None
            mask[self._main.rows(np.flatnonzero(self._kept))] = True
        else:
            mask[self._main.rows(positions)] = True
        bits = np.packbits(mask, bitorder="little")
        if positions is None:
            self._bits = bits
        return bits


class FlatIndex(FaissIndex):
    """Exact at any size."""

    trained_from = 0
    gpu_after = None


class IvfIndex(FaissIndex):
    """An inverted file at any size, except for a few pictures."""

    trained_from = builder.MIN_TRAINING_VECTORS
    gpu_after = None


class GpuIndex(FaissIndex):
    """Like `auto`, on GPUs from the first search on."""

    gpu_after = 0


def _no_note(text: str) -> None:
    """A sink for notes that nobody reads."""


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else repr(error)
