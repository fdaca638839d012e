"""The kinds of an index: what is written for so many vectors, and how that is searched.

All of them have one form of file, so each can open what another has written. On disk lies a main
part that never changes; what the catalog changed since then is in memory: new vectors in an exact
tail, vectors of the main part that were removed or replaced in a set. Both are searched together.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from imgsearch.errors import CatalogError
from imgsearch.indexes import builder, sealed_files
from imgsearch.indexes.mapped import CHUNK, HALF, Header, Stored, merged, open_stored
from imgsearch.indexes.memory_index import MemoryIndex
from imgsearch.indexes.threads import import_faiss
from imgsearch.records import ChangeBatch, Revision
from imgsearch.vectors import Embeddings, EmbeddingSpace, Ids, Matches, members

GATHERED_BYTES = 8 << 20
"""So many bytes of vectors are copied out of the index and compared; more are scanned in place.

Up to there the copy stays in the processor's cache. Measured by `benchmarks/filters.py`.
"""


class FaissIndex:
    """Exact while it is small; from `trained_from` vectors on an inverted file. The kind `auto`.

    Parameters
    ----------
    folder : str
        Where the index files lie; it need not exist.
    library : str
        The catalog's uuid.

    Attributes
    ----------
    doubt : str
        Why the file on disk was not used, in words; empty when all was well.
    """

    trained_from = 300_000
    """Measured: docs/PERFORMANCE.md, "Searching a million"."""

    def __init__(self, folder: str, library: str, space: EmbeddingSpace) -> None:
        import_faiss()
        self._folder = folder
        self._library = library
        self.space = space
        self.clear()
        self.reload()

    @classmethod
    def settled(
        cls, folder: str, library: str, space: EmbeddingSpace, revision: Revision, token: str
    ) -> bool:
        name = sealed_files.IndexName(library, space.key, revision)
        try:
            with open(os.path.join(folder, str(name)), "rb") as file:
                header = sealed_files.unseal(file, whole=False).header
        except (OSError, ValueError):
            return False
        if header["token"] != token:
            return False
        return not builder.overdue(header["count"], header["trained"], cls.trained_from)

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
        self.revision: Revision = main.header.revision if main else 0
        self.token = main.header.token if main else ""

    def _forget_caches(self) -> None:
        self._all: Ids | None = None
        self._bits: NDArray[np.uint8] | None = None

    @property
    def main(self) -> Stored | None:
        """The part that lies on disk; None if there is none."""
        return self._main

    def reload(self) -> None:
        """Open the newest file; a writer may replace it meanwhile, so look again."""
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
                self.doubt = "an earlier version of imgsearch has written the index file"
                return
            except (OSError, ValueError, TypeError, KeyError, RuntimeError) as error:
                self.clear()
                self.doubt = f"the index file {name} is damaged ({_first_line(error)})"
                return
            told = (main.header.library, main.header.space, main.header.revision)
            if told != name or main.dimension != self.space.dimension:
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
        """How many vectors of the main part still count."""
        if self._main is None:
            return 0
        return self._main.count if self._kept is None else int(self._kept.sum())

    def __len__(self) -> int:
        return self._live + len(self._tail)

    def among(self, ids: Ids) -> Ids:
        """Those of `ids`, sorted, that the index holds."""
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
        late = np.isin(ids, self._tail.ids())
        out[late] = self._tail.vectors(ids[late])
        if self._main is not None and not late.all():
            early = np.searchsorted(self._main.ids, ids[~late])
            out[~late] = self._main.vectors(self._main.rows(early))
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
        """Where among the ids of the main part those lie that still count."""
        if self._main is None:
            return np.empty(0, np.int64)
        found = self._main.positions(ids)
        return found if self._kept is None else found[self._kept[found]]

    def unflushed(self) -> int:
        """How many vectors were put in or taken out since the file was written."""
        gone = 0 if self._kept is None else len(self._kept) - self._live
        return max(gone, len(self._tail))

    @property
    def due(self) -> bool:
        trained = self._main.header.trained if self._main else 0
        return builder.overdue(len(self), trained, self.trained_from)

    def described(self) -> str:
        return sealed_files.described(self._sealed.header) if self._sealed else "exact, in memory"

    def flush(self, train: bool = False, anew: bool = False) -> None:
        if self.revision == self._flushed and not (train and (self.due or anew)):
            return
        self._write(self.revision, self.token, self._rows, train, anew)

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

        self._write(revision, token, rows, train, anew=False)

    def _write(
        self, revision: Revision, token: str, rows: builder.Source, train: bool, anew: bool
    ) -> None:
        """Write a file and go on with it; raises `CatalogError` if that fails."""
        name = sealed_files.IndexName(self._library, self.space.key, revision)
        header = Header(*name, token, self.space.dimension, HALF, 0, 0)
        plan = builder.Plan(header, train=self.trained_from if train else 0)
        main = self._main
        keep = self._lists_fit or not train
        if main is not None and main.header.trained and keep and not anew:
            plan = replace(plan, centroids=main.centroids, trained=main.header.trained)
        try:
            sealed_files.write(self._folder, name, lambda path: builder.save(path, rows, plan))
        except (OSError, RuntimeError) as error:
            raise CatalogError(
                f"the index file cannot be written: {_first_line(error)}",
                "Free some space on the disk of the library and run the command again; nothing "
                "is lost, the index is made from the catalog.",
            ) from error
        self.clear()
        self.reload()

    @property
    def _lists_fit(self) -> bool:
        """True if the trained lists of the main part are to be kept: not if most of it is gone."""
        return 0 < self.trained_from <= 2 * len(self)

    def _rows(self, dtype: str) -> Iterator[tuple[Ids, NDArray[Any], Ids]]:
        """What counts, for a new file: the main part in its order, then the tail."""
        main, tail = self._main, self._tail
        if main is not None:
            kept = slice(None) if self._kept is None else self._kept
            rows = np.sort(main.rows(np.arange(main.count)[kept]))
            for part in (rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)):
                codes = main.codes(part)
                if main.header.dtype != dtype:
                    codes = builder.stored_as(dtype, main.vectors(part))
                yield main.ids_of(part), codes, main.lists_of(part)
        ids = tail.ids()
        for part in (ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK)):
            codes = builder.stored_as(dtype, tail.vectors(part))
            yield part, codes, np.full(len(part), -1, np.int64)

    def search(self, queries: Embeddings, k: int, allowed: Ids | None = None) -> Matches:
        queries = np.ascontiguousarray(queries, np.float32)
        found = self._in_main(queries, k, allowed)
        if not len(self._tail):
            return found
        late = self._tail.search(queries, k, allowed)
        scores, ids = merged([(found.scores, found.ids), (late.scores, late.ids)], k)
        ways = [each.method for each in (found, late) if each.scores.shape[1]]
        return Matches(ids, scores, "; ".join(ways or [late.method]))

    def _in_main(self, queries: Embeddings, k: int, allowed: Ids | None) -> Matches:
        main = self._main
        positions = None if allowed is None else self._positions(allowed)
        count = self._live if positions is None else len(positions)
        k = min(k, count)
        if k <= 0 or not len(queries) or main is None:
            shape = (len(queries), max(k, 0))
            return Matches(np.empty(shape, np.int64), np.empty(shape, np.float32))
        if positions is not None and count * self.space.dimension * 4 <= GATHERED_BYTES:
            scores, rows = main.product(queries, k, main.rows(positions), main.vectors)
            how = f"the {count} vectors that pass, taken out of {main.count} and compared"
        elif main.header.trained and self.trained_from and positions is None:
            scores, rows, probes = main.near(queries, k, self._bitmap(None))
            how = f"{probes} of {main.header.lists} lists of {count} vectors, compared exactly"
        else:
            scores, rows, how = self._exact(main, queries, k, self._bitmap(positions))
            how += (
                f" of {count} vectors"
                if count == main.count
                else (f" of {main.count} vectors, {count} of them selected by a bitmap")
            )
        return Matches(main.ids_of(rows), scores, how)

    def _exact(
        self, main: Stored, queries: Embeddings, k: int, bitmap: NDArray[np.uint8] | None
    ) -> tuple[Embeddings, Ids, str]:
        """Exactly the best k, and how they were found."""
        return *main.best(queries, k, bitmap), "FAISS scan"

    def _bitmap(self, positions: Ids | None) -> NDArray[np.uint8] | None:
        """A bit for each row that counts; None where all do."""
        assert self._main is not None
        if positions is None and self._kept is None:
            return None
        if positions is None and self._bits is not None:
            return self._bits
        wanted = np.zeros(self._main.count, np.bool_)
        if positions is None:
            assert self._kept is not None
            wanted[self._main.rows(np.flatnonzero(self._kept))] = True
        else:
            wanted[self._main.rows(positions)] = True
        bits = np.packbits(wanted, bitorder="little")
        if positions is None:
            self._bits = bits
        return bits


class FlatIndex(FaissIndex):
    """Exact at any size."""

    trained_from = 0


class IvfIndex(FaissIndex):
    """An inverted file at any size, but for libraries of a few pictures."""

    trained_from = builder.FEWEST


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else repr(error)
