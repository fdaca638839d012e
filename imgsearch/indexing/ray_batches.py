"""Batches of files for actors: their sizes, and those whose actor died."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

from imgsearch.records import ImageFile

BATCHES_AHEAD = 2
"""Batches for each actor: one in work, one that waits for it."""
MIN_BATCH_FILES = 8
"""Near the end batches become this small, so that all actors end at the same time."""
DIVISION = 4
"""Parts of a batch that has failed twice."""
MAX_BATCH_FAILURES = 2


@dataclass(eq=False, slots=True)
class Batch:
    """Files that travel together; `failed_on` are the nodes where their actor died."""

    files: list[ImageFile]
    failures: int = 0
    failed_on: set[str] = field(default_factory=set)


class BatchQueue:
    """Batches to hand out: those of dead actors first, then new ones."""

    def __init__(self, files: Iterable[ImageFile]) -> None:
        self._files = iter(files)
        self._ahead: deque[ImageFile] = deque()
        self._returned: deque[Batch] = deque()

    def next(self, node: str, nodes: set[str], size: int, actors: int) -> Batch | None:
        """The next batch for a node; one that failed there only if it failed on all `nodes`."""
        for batch in self._returned:
            if node not in batch.failed_on or nodes <= batch.failed_on:
                self._returned.remove(batch)
                return batch
        self._look_ahead(size * actors * BATCHES_AHEAD)
        share = -(-len(self._ahead) // (actors * BATCHES_AHEAD))
        count = min(size, max(MIN_BATCH_FILES, share), len(self._ahead))
        return Batch([self._ahead.popleft() for _ in range(count)]) if count else None

    def _look_ahead(self, count: int) -> None:
        self._ahead.extend(islice(self._files, max(0, count - len(self._ahead))))

    @property
    def empty(self) -> bool:
        self._look_ahead(1)
        return not self._ahead and not self._returned

    def put_back(self, batches: Iterable[Batch]) -> None:
        """Return batches that were not worked on."""
        self._returned.extendleft(batches)

    def put_failed(self, batch: Batch, node: str) -> ImageFile | None:
        """Return a batch whose actor died, or the only file of one that has failed twice.

        It goes behind other returned batches, so that an actor also gets batches that succeed.
        """
        batch.failures += 1
        batch.failed_on.add(node)
        if batch.failures < MAX_BATCH_FAILURES:
            self._returned.append(batch)
            return None
        if len(batch.files) == 1:
            return batch.files[0]
        size = -(-len(batch.files) // DIVISION)
        parts = range(0, len(batch.files), size)
        self._returned.extend(Batch(batch.files[start : start + size]) for start in parts)
        return None
