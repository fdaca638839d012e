"""An exact index in NumPy that lives in memory only."""

from __future__ import annotations

import numpy as np

from imgsearch.records import ChangeBatch, Revision
from imgsearch.vectors import Embeddings, EmbeddingSpace, Ids, Matches


class MemoryIndex:
    """Exact inner product by one matrix product: for tests, and for libraries of a few pictures.

    Passes the same contract tests as `FaissIndex`.
    """

    def __init__(self, folder: str, library: str, space: EmbeddingSpace) -> None:
        self.space = space
        self.doubt = ""
        self.clear()

    def clear(self) -> None:
        self.revision: Revision = 0
        self.token = ""
        self._rows: dict[int, Embeddings] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def ids(self) -> Ids:
        return np.array(sorted(self._rows), np.int64)

    def vectors(self, ids: Ids) -> Embeddings:
        found = [self._rows[int(i)] for i in ids]
        return np.stack(found) if found else np.empty((0, self.space.dimension), np.float32)

    def apply(self, changes: ChangeBatch) -> None:
        for image_id in changes.removals:
            self._rows.pop(int(image_id), None)
        self._rows.update(zip(changes.ids.tolist(), changes.vectors, strict=True))
        self.revision, self.token = changes.revision, changes.token

    def flush(self) -> None:
        """Nothing to do: the index is gone when the process ends."""

    def unflushed(self) -> int:
        return 0

    def search(self, queries: Embeddings, k: int, allowed: Ids | None = None) -> Matches:
        ids = self.ids()
        if allowed is not None:
            ids = np.intersect1d(ids, allowed)
        k = min(k, len(ids))
        scores = queries @ self.vectors(ids).T
        best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        found = np.take_along_axis(scores, best, axis=1)
        return Matches(ids[best], found, f"{len(ids)} vectors compared in one product")
