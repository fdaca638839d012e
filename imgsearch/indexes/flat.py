"""Exact inner product with FAISS (Douze et al. 2024, "The Faiss library")."""

from __future__ import annotations

import os
from types import ModuleType
from typing import Any

import numpy as np

from imgsearch.errors import CatalogError, ImgSearchError
from imgsearch.indexes import files
from imgsearch.records import ChangeBatch, Revision
from imgsearch.vectors import Embeddings, EmbeddingSpace, Ids, Matches

BLAS_THRESHOLD = 20
"""Batches of so many queries go through BLAS: for 64 queries 12 times as fast as the default."""

GATHERED_BYTES = 8 << 20
"""So many bytes of vectors are copied out of the index and compared; more are scanned in place.

Up to there the copy stays in the processor's cache, and both take the same time for each vector,
but a scan also looks at a bit of every other one. Above, the copy is what costs. Measured by
`benchmarks/filters.py` with 200 000 vectors of 768 numbers (docs/PERFORMANCE.md).
"""


def import_faiss() -> ModuleType:
    """The faiss module, set up; raises `ImgSearchError` with the command that installs it."""
    try:
        import faiss
    except ImportError as error:
        raise ImgSearchError(
            f"FAISS cannot be loaded: {error}",
            "In your clone of imgsearch, run: pip install '.[cpu]' "
            "(or '.[gpu]' on a machine with an NVIDIA GPU; never both).",
        ) from error
    faiss.cvar.distance_compute_blas_threshold = BLAS_THRESHOLD
    module: ModuleType = faiss
    return module


class FaissIndex:
    """An exact FAISS index in memory that is loaded from, and flushed to, a file.

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

    def __init__(self, folder: str, library: str, space: EmbeddingSpace) -> None:
        self._faiss = import_faiss()
        self._folder = folder
        self._library = library
        self.space = space
        self.doubt = ""
        self.clear()
        self._load()

    def clear(self) -> None:
        flat = self._faiss.IndexFlatIP(self.space.dimension)
        self._reset(self._faiss.IndexIDMap2(flat), 0, "")
        self._flushed: Revision = -1

    def _reset(self, index: Any, revision: Revision, token: str) -> None:
        self._index = index
        self.revision: Revision = revision
        self.token = token
        self._unflushed = 0
        self._known = set(self._faiss.vector_to_array(index.id_map).tolist())

    def _load(self) -> None:
        """Load the newest file; a writer may replace it meanwhile, so look twice."""
        for _ in range(3):
            name = files.newest(self._folder, self._library, self.space.key)
            if name is None:
                return
            path = os.path.join(self._folder, str(name))
            try:
                token = files.unseal(path)
                index = self._read(path)
            except FileNotFoundError:
                continue
            except (OSError, ValueError, RuntimeError) as error:
                self.doubt = f"the index file {name} is damaged ({_first_line(error)})"
                return
            if index.d != self.space.dimension or not hasattr(index, "id_map"):
                self.doubt = f"the index file {name} is of another kind"
                return
            self._reset(index, name.revision, token)
            self._flushed = name.revision
            return

    # FAISS cannot open a path that is not UTF-8, so we open it. A full disk is an OSError then.

    def _read(self, path: str) -> Any:
        with open(path, "rb") as file:
            return self._faiss.read_index(self._faiss.PyCallbackIOReader(file.read))

    def _write(self, path: str) -> None:
        with open(path, "wb") as file:
            self._faiss.write_index(self._index, self._faiss.PyCallbackIOWriter(file.write))

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def ids(self) -> Ids:
        return np.sort(self._faiss.vector_to_array(self._index.id_map).astype(np.int64))

    def vectors(self, ids: Ids) -> Embeddings:
        unknown = [int(i) for i in ids if int(i) not in self._known]
        if unknown:
            raise KeyError(unknown[0])
        out = np.empty((len(ids), self.space.dimension), np.float32)
        for row, image_id in enumerate(ids):
            out[row] = self._index.reconstruct(int(image_id))
        return out

    def apply(self, changes: ChangeBatch) -> None:
        # FAISS would keep both the old and the new vector of an id that is added twice.
        outdated = self._known.intersection([*changes.removals.tolist(), *changes.ids.tolist()])
        if outdated:
            self._index.remove_ids(np.fromiter(outdated, np.int64))
        if len(changes.ids):
            self._index.add_with_ids(np.ascontiguousarray(changes.vectors), changes.ids)
        self._known -= outdated
        self._known.update(changes.ids.tolist())
        self._unflushed += len(outdated) + len(changes.ids)
        self.revision, self.token = changes.revision, changes.token

    def unflushed(self) -> int:
        """How many vectors were put in or taken out since the file was written."""
        return self._unflushed

    def flush(self) -> None:
        if self.revision == self._flushed:
            return
        name = files.IndexName(self._library, self.space.key, self.revision)
        try:
            files.write(
                self._folder,
                name,
                self.token,
                self._write,
            )
        except (OSError, RuntimeError) as error:
            raise CatalogError(
                f"the index file cannot be written: {_first_line(error)}",
                "Free some space on the disk of the library and run the command again; nothing "
                "is lost, the index is made from the catalog.",
            ) from error
        self._flushed = self.revision
        self._unflushed = 0

    def search(self, queries: Embeddings, k: int, allowed: Ids | None = None) -> Matches:
        ids = self._faiss.vector_to_array(self._index.id_map).astype(np.int64)
        rows = None if allowed is None else np.flatnonzero(np.isin(ids, allowed))
        count = len(ids) if rows is None else len(rows)
        k = min(k, count)
        if k <= 0 or not len(queries):
            shape = (len(queries), max(k, 0))
            return Matches(np.empty(shape, np.int64), np.empty(shape, np.float32))
        queries = np.ascontiguousarray(queries)
        if rows is None or count == len(ids):
            scores, best = self._flat.search(queries, k)
            method = f"FAISS scan of all {count} vectors"
        elif count * self.space.dimension * 4 <= GATHERED_BYTES:
            scores, best = self._gathered(queries, k, rows)
            method = f"the {count} vectors that pass, taken out of {len(ids)} and compared"
        else:
            scores, best = self._selected(queries, k, rows)
            method = f"FAISS scan of {len(ids)} vectors, {count} of them selected by a bitmap"
        return Matches(ids[best], scores, method)

    @property
    def _flat(self) -> Any:
        """The vectors without their ids: row i has the i-th id of `id_map`."""
        return self._faiss.downcast_index(self._index.index)

    def _gathered(self, queries: Embeddings, k: int, rows: Ids) -> tuple[Any, Ids]:
        """Scores and rows of the k best, by a copy of the few vectors that count."""
        size = len(self) * self.space.dimension
        stored = self._faiss.rev_swig_ptr(self._flat.get_xb(), size)
        scores = queries @ stored.reshape(len(self), -1)[rows].T
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(scores, best, axis=1), rows[best]

    def _selected(self, queries: Embeddings, k: int, rows: Ids) -> tuple[Any, Ids]:
        """Scores and rows of the k best, by a scan that passes over the other rows."""
        wanted = np.zeros(len(self), np.bool_)
        wanted[rows] = True
        bitmap = np.packbits(wanted, bitorder="little")
        selector = self._faiss.IDSelectorBitmap(bitmap)
        found: tuple[Any, Ids] = self._flat.search(
            queries, k, params=self._faiss.SearchParameters(sel=selector)
        )
        return found


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else repr(error)
