"""The stored links of near-identical pictures: a projection of the catalog, updated as it grows.

The file `duplicates/<library uuid>.<space key>.npz` in the library folder holds the pictures that
are connected with others (`near_pairs`), and the revision and token of the catalog that it has
reached. Only pictures that have changed since are compared. On any doubt it is rebuilt.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from imgsearch.curation.array_files import read_arrays, write_arrays
from imgsearch.curation.near_pairs import TILE_ROWS, Blocks, Halves, Parts, join_near
from imgsearch.ports import VectorIndex
from imgsearch.records import Revision
from imgsearch.searching.duplicates import vectors_of
from imgsearch.vectors import Ids

if TYPE_CHECKING:
    from imgsearch.catalog import Catalog

FOLDER = "duplicates"


class Links(NamedTuple):
    """Pictures that are connected with others, and the state of the catalog they belong to.

    Attributes
    ----------
    ids, parts : ndarrays of shape (n,), int64
        Sorted ids, and for each an id that is the same within its part.
    least : float
        The inner product from which two pictures are linked.
    """

    revision: Revision
    token: str
    least: float
    ids: Ids
    parts: Ids


def links(catalog: Catalog, index: VectorIndex, least: float, note: Callable[[str], None]) -> Links:
    """The links of the index's space, updated from the catalog and stored.

    They are not stored if the library cannot be written to.
    """
    path = os.path.join(catalog.folder, FOLDER, f"{catalog.uuid}.{index.space.key}.npz")
    with catalog.snapshot():
        stored, doubt = _read(path)
        if stored is not None and stored.least != least:
            stored, doubt = None, "it was made with another threshold"
        if stored is not None and not catalog.replayable(stored.revision, stored.token):
            stored, doubt = None, "it belongs to another state of the library"
        if doubt:
            note(f"The duplicates are looked for in the whole library again: {doubt}.")
        if stored is not None and (stored.revision, stored.token) == catalog.head():
            return stored
        updated = _updated(catalog, index, least, stored)
    write_arrays(path, **updated._asdict())
    return updated


def _updated(catalog: Catalog, index: VectorIndex, least: float, stored: Links | None) -> Links:
    revision, token = catalog.head()
    since = stored.revision if stored else 0
    present = catalog.vector_ids(index.space)
    new, rows = _changed(catalog, index, since, present)
    old = np.setdiff1d(present, new, assume_unique=True) if since else np.empty(0, np.int64)
    parts = Parts(present, _labels(present, stored))
    join_near(parts, new, rows, lambda: _blocks(index, old), least)
    return Links(revision, token, least, *parts.linked())


def _changed(
    catalog: Catalog, index: VectorIndex, since: Revision, present: Ids
) -> tuple[Ids, Halves]:
    """The present pictures with vectors newer than a revision, sorted, and their vectors."""
    found = [np.empty(0, np.int64)]
    rows = [np.empty((0, index.space.dimension), np.float16)]
    for batch in catalog.changes(index.space, since):
        here = np.isin(batch.ids, present)
        found.append(batch.ids[here])
        rows.append(batch.vectors[here].astype(np.float16))
    ids = np.concatenate(found)
    order = np.argsort(ids)
    if np.array_equal(order, np.arange(len(ids))):  # a first run, where a copy would be large
        return ids, np.concatenate(rows)
    return ids[order], np.concatenate(rows)[order]


def _labels(present: Ids, stored: Links | None) -> Ids | None:
    """A label for each present picture, as stored; unlinked ones have one of their own."""
    if stored is None or not len(present):
        return None
    kept = np.isin(stored.ids, present, assume_unique=True)
    places = np.searchsorted(present, stored.ids[kept])
    _, first, inverse = np.unique(stored.parts[kept], return_index=True, return_inverse=True)
    labels = np.arange(len(present))
    labels[places] = places[first][inverse]
    return labels


def _blocks(index: VectorIndex, ids: Ids) -> Blocks:
    for start in range(0, len(ids), TILE_ROWS):
        block = ids[start : start + TILE_ROWS]
        yield block, vectors_of(index, block)


def _read(path: str) -> tuple[Links | None, str]:
    """The stored links, or None and the reason in words; no reason if there are none yet."""
    values, doubt = read_arrays(path)
    if values is None:
        return None, doubt
    return Links(
        int(values["revision"]),
        str(values["token"]),
        float(values["least"]),
        values["ids"],
        values["parts"],
    ), ""
