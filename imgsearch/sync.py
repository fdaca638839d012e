"""Bring an index up to the catalog: catalog -> changes -> index."""

from __future__ import annotations

import numpy as np

from imgsearch.ports import Catalog, VectorIndex

FLUSH_COUNT = 4096
FLUSH_SHARE = 0.1


def sync(catalog: Catalog, index: VectorIndex) -> str:
    """Replay what happened after the index's revision; on any doubt rebuild it from nothing.

    Returns
    -------
    str
        Why the index had to be rebuilt, in words; empty when the tail was enough.
    """
    with catalog.snapshot():
        reason = ""
        if not catalog.replayable(index.revision, index.token):
            reason = "the index does not belong to the present state of the catalog"
            index.clear()
        for changes in catalog.changes(index.space, since=index.revision):
            index.apply(changes)
    return reason


def worth_flushing(index: VectorIndex) -> bool:
    """True if replaying the tail at each opening would cost more than writing the file once.

    A flush rewrites the whole file: one photo added to a million must not write gigabytes.
    """
    tail = index.unflushed()
    return tail >= FLUSH_COUNT or tail > FLUSH_SHARE * len(index)


def verify(catalog: Catalog, index: VectorIndex) -> list[str]:
    """How the index differs from the catalog, one sentence each; empty when they are equal.

    Both ids and vectors are compared, the vectors bit by bit.
    """
    held = set(index.ids().tolist())
    expected: set[int] = set()
    different = 0
    with catalog.snapshot():
        for changes in catalog.changes(index.space, since=0):
            expected.update(changes.ids.tolist())
            both = np.array([i in held for i in changes.ids.tolist()], bool)
            found = index.vectors(changes.ids[both])
            different += int((found != changes.vectors[both]).any(axis=1).sum())
    counts = {
        "pictures of the catalog are not in the index": len(expected - held),
        "pictures of the index are not in the catalog": len(held - expected),
        "vectors of the index differ from the catalog's": different,
    }
    return [f"{count} {fault}" for fault, count in counts.items() if count]
