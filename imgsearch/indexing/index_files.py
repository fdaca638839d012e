"""Bring an index up to the catalog: catalog -> changes -> tail -> a new file -> swap."""

from __future__ import annotations

from functools import partial

import numpy as np

from imgsearch.ports import Catalog, VectorIndex

FLUSH_COUNT = 4096
FLUSH_SHARE = 0.1
MOST_REPLAYED = 65_536
"""More changes are not replayed into memory where the file can be made anew from the catalog. It
cannot while another process indexes: then they are replayed all the same."""


def sync(catalog: Catalog, index: VectorIndex) -> str:
    """Replay what happened after the index's revision; on any doubt rebuild it from nothing.

    Returns
    -------
    str
        Why the index had to be rebuilt, in words; empty when the tail was enough.
    """
    with catalog.snapshot():
        reason = ""
        behind = (index.revision, index.token) != catalog.head()
        if index.unflushed() > FLUSH_COUNT or (behind and not _replayable(catalog, index)):
            index.reload()
        elif not behind:
            return reason
        if not _replayable(catalog, index):
            reason = "the index does not belong to the present state of the catalog"
            index.clear()
        for changes in catalog.changes(index.space, since=index.revision):
            index.apply(changes)
    return reason


def _replayable(catalog: Catalog, index: VectorIndex) -> bool:
    return catalog.replayable(index.revision, index.token)


def far_behind(catalog: Catalog, index: VectorIndex) -> bool:
    """True if so much has happened since the index was written that a replay fills the memory."""
    with catalog.snapshot():
        known = index.revision if _replayable(catalog, index) else 0
        return catalog.head()[0] - known > MOST_REPLAYED


def rebuild(catalog: Catalog, index: VectorIndex, train: bool = False) -> None:
    """Make the stored index anew from the catalog, in bounded memory; the caller holds the lock."""
    with catalog.snapshot():
        batches = partial(catalog.changes, index.space, 0)
        index.build(*catalog.head(), batches, train)


def worth_flushing(index: VectorIndex, waited_for: bool = False) -> bool:
    """True if replaying the tail at each opening would cost more than writing the file once.

    A flush rewrites the whole file: one photo added to a million must not write gigabytes, and
    where somebody waits for an answer nothing is written for less than a share of the file.
    """
    tail = index.unflushed()
    return tail > FLUSH_SHARE * len(index) or (tail >= FLUSH_COUNT and not waited_for)


def verify(catalog: Catalog, index: VectorIndex) -> list[str]:
    """How the index differs from the catalog, one sentence each; empty when they are equal.

    Both ids and vectors are compared, the vectors bit by bit.
    """
    held = index.ids()
    parts = [np.empty(0, np.int64)]
    different = 0
    with catalog.snapshot():
        for changes in catalog.changes(index.space, since=0):
            parts.append(changes.ids)
            both = np.isin(changes.ids, held)
            found = index.vectors(changes.ids[both])
            different += int((found != changes.vectors[both]).any(axis=1).sum())
    expected = np.concatenate(parts)
    counts = {
        "pictures of the catalog are not in the index": len(np.setdiff1d(expected, held)),
        "pictures of the index are not in the catalog": len(np.setdiff1d(held, expected)),
        "pictures are in the index more than once": len(held) - len(np.unique(held)),
        "vectors of the index differ from the catalog's": different,
    }
    return [f"{count} {fault}" for fault, count in counts.items() if count]
