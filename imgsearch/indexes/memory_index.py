"""An exact in-memory index in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from imgsearch.records import ChangeBatch, IndexState, Revision
from imgsearch.vectors import Embeddings, EmbeddingSpace, Ids, Matches, members


class MemoryIndex:
    """Exact inner product by one matrix product: for tests, and for the tail of a `FaissIndex`.

    It passes the same contract tests as `FaissIndex`.
    """

    due = False

    @classmethod
    def stored(cls, where: str, library: str, space: EmbeddingSpace) -> IndexState:
        return cls(where, library, space).state

    def __init__(self, where: str, library: str, space: EmbeddingSpace) -> None:
        self.space = space
        self.doubt = ""
        self.clear()

    def clear(self) -> None:
        self.revision: Revision = 0
        self.token = ""
        self._rows: dict[int, Embeddings] = {}
        self._stacked: tuple[Ids, Embeddings] | None = None

    def reload(self) -> None:
        """Does nothing: nothing is stored."""

    def check(self) -> str:
        return ""

    def described(self) -> str:
        return "exact, in memory"

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def _matrix(self) -> tuple[Ids, Embeddings]:
        """All ids, sorted, and their vectors."""
        if self._stacked is None:
            ids = np.array(sorted(self._rows), np.int64)
            self._stacked = ids, self._rows_of(ids)
        return self._stacked

    def _rows_of(self, ids: Ids) -> Embeddings:
        rows = [self._rows[int(i)] for i in ids]
        return np.stack(rows) if rows else np.empty((0, self.space.dimension), np.float32)

    @property
    def state(self) -> IndexState:
        return IndexState(
            self.revision, self.token, self.unflushed(), False, self.doubt, self.described()
        )

    def among(self, ids: Ids) -> Ids:
        """The `ids` that the index holds, sorted."""
        return members(self.ids(), ids)

    def ids(self) -> Ids:
        return self._matrix[0]

    def vectors(self, ids: Ids) -> Embeddings:
        return self._rows_of(ids)

    def apply(self, changes: ChangeBatch) -> None:
        for image_id in changes.removals:
            self._rows.pop(int(image_id), None)
        self._rows.update(zip(changes.ids.tolist(), changes.vectors, strict=True))
        self._stacked = None
        self.revision, self.token = changes.revision, changes.token

    def flush(self, train: bool = False, retrain: bool = False) -> None:
        """Does nothing: the index ends with the process."""

    def build(
        self,
        revision: Revision,
        token: str,
        batches: Callable[[], Iterable[ChangeBatch]],
        train: bool = False,
    ) -> None:
        self.clear()
        for changes in batches():
            self.apply(changes)

    def unflushed(self) -> int:
        return 0

    def search(self, queries: Embeddings, k: int, allowed: Ids | None = None) -> Matches:
        ids, rows = self._matrix
        if allowed is not None:
            passing = np.flatnonzero(np.isin(ids, allowed))
            ids, rows = ids[passing], rows[passing]
        k = min(k, len(ids))
        scores = queries @ rows.T
        if 0 < k < len(ids) // 4:
            best = np.sort(np.argpartition(-scores, k - 1, axis=1)[:, :k], axis=1)
        else:
            best = np.tile(np.arange(len(ids)), (len(queries), 1))
        top = np.take_along_axis(scores, best, axis=1)
        order = np.argsort(-top, axis=1, kind="stable")[:, :k]
        top_ids = ids[np.take_along_axis(best, order, axis=1)]
        method = f"{len(ids)} vectors compared in one product"
        return Matches(top_ids, np.take_along_axis(top, order, axis=1), method)
