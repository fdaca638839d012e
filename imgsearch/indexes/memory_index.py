"""An exact index in NumPy that lives in memory only."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from imgsearch.records import ChangeBatch, Revision
from imgsearch.vectors import Embeddings, EmbeddingSpace, Ids, Matches, members


class MemoryIndex:
    """Exact inner product by one matrix product: for tests, and for what is new in an index.

    Passes the same contract tests as `FaissIndex`, which keeps its tail in one.
    """

    due = False

    @classmethod
    def settled(
        cls, folder: str, library: str, space: EmbeddingSpace, revision: Revision, token: str
    ) -> bool:
        return False

    def __init__(self, folder: str, library: str, space: EmbeddingSpace) -> None:
        self.space = space
        self.doubt = ""
        self.clear()

    def clear(self) -> None:
        self.revision: Revision = 0
        self.token = ""
        self._rows: dict[int, Embeddings] = {}
        self._together: tuple[Ids, Embeddings] | None = None

    def reload(self) -> None:
        """Nothing is stored anywhere."""

    def check(self) -> str:
        return ""

    def described(self) -> str:
        return "exact, in memory"

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def _matrix(self) -> tuple[Ids, Embeddings]:
        """All ids, sorted, and their vectors."""
        if self._together is None:
            ids = np.array(sorted(self._rows), np.int64)
            self._together = ids, self._taken(ids)
        return self._together

    def _taken(self, ids: Ids) -> Embeddings:
        found = [self._rows[int(i)] for i in ids]
        return np.stack(found) if found else np.empty((0, self.space.dimension), np.float32)

    def among(self, ids: Ids) -> Ids:
        """Those of `ids`, sorted, that the index holds."""
        return members(self.ids(), ids)

    def ids(self) -> Ids:
        return self._matrix[0]

    def vectors(self, ids: Ids) -> Embeddings:
        return self._taken(ids)

    def apply(self, changes: ChangeBatch) -> None:
        for image_id in changes.removals:
            self._rows.pop(int(image_id), None)
        self._rows.update(zip(changes.ids.tolist(), changes.vectors, strict=True))
        self._together = None
        self.revision, self.token = changes.revision, changes.token

    def flush(self, train: bool = False, anew: bool = False) -> None:
        """Nothing to do: the index is gone when the process ends."""

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
        found = np.take_along_axis(scores, best, axis=1)
        order = np.argsort(-found, axis=1, kind="stable")[:, :k]
        chosen = ids[np.take_along_axis(best, order, axis=1)]
        method = f"{len(ids)} vectors compared in one product"
        return Matches(chosen, np.take_along_axis(found, order, axis=1), method)
