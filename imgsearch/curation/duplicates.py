"""The duplicates of a library: groups of pictures on disk, from stored links and equal bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from imgsearch.curation.duplicate_groups import (
    LEVELS,
    DuplicateGroup,
    KeepOrder,
    groups_of,
    split,
    with_equal_bytes,
)
from imgsearch.curation.links import links
from imgsearch.errors import QueryError
from imgsearch.filters.tree import Filter
from imgsearch.records import ImageRecord
from imgsearch.searching.duplicates import near_identical, vectors_of
from imgsearch.searching.notes import gone_note
from imgsearch.searching.presence import Presence
from imgsearch.spaces import no_pictures
from imgsearch.vectors import Embeddings, Ids

if TYPE_CHECKING:
    from imgsearch.catalog import Catalog
    from imgsearch.searching.searcher import Searcher

IMAGES_PER_LOOK = 1000
"""Pictures looked for on disk at a time, within the time limit of `Presence`."""


@dataclass(frozen=True, slots=True)
class DuplicateRequest:
    """Options of a search for duplicates.

    Attributes
    ----------
    where : Filter or None
        Only pictures that pass it are compared.
    level : {"exact", "copies", "shots"}
        Same bytes; also saved again or resized; also near-identical shots.
    prefer : sequence of str
        Glob patterns of the paths to keep, the most important first.
    """

    where: Filter | None = None
    level: str = "copies"
    prefer: Sequence[str] = ()


class DuplicateFinder:
    """Finds the groups of duplicates in a library; no picture is read and no model loaded."""

    def __init__(self, catalog: Catalog, searcher: Searcher, note: Callable[[str], None]) -> None:
        self._catalog, self._searcher, self._note = catalog, searcher, note

    def find(self, request: DuplicateRequest) -> Iterator[DuplicateGroup]:
        """The groups, in the order in which their pictures were added.

        Raises
        ------
        QueryError
            The library has no pictures, or the level is unknown.
        """
        if request.level not in LEVELS:
            raise QueryError(
                f"{request.level!r} is not a level of duplicates", f"One of {', '.join(LEVELS)}."
            )
        order = KeepOrder(request.prefer)
        if not self._catalog.count():
            raise no_pictures()
        ids, parts = self._linked(request.level)
        if request.where is not None:
            passed = np.isin(ids, self._catalog.select(request.where))
            ids, parts = ids[passed], parts[passed]
        return self._groups(ids, parts, request.level, order)

    def _linked(self, level: str) -> tuple[Ids, Ids]:
        none = np.empty(0, np.int64)
        if level == "exact":
            return with_equal_bytes(none, none, *self._catalog.equal_bytes())
        space = self._searcher.space
        self._searcher.refresh()
        found = links(self._catalog, self._searcher.index, near_identical(space.model), self._note)
        unseen = self._catalog.count() - len(self._catalog.vector_ids(space))
        if unseen:
            self._note(
                f"{unseen} pictures have no vector of {space.model} yet and are compared by their"
                " bytes only. To finish: imgsearch index"
            )
        return with_equal_bytes(found.ids, found.parts, *self._catalog.equal_bytes())

    def _groups(
        self, ids: Ids, parts: Ids, level: str, order: KeepOrder
    ) -> Iterator[DuplicateGroup]:
        presence = Presence(self._catalog.roots(counted=False))
        model = "" if level == "exact" else self._searcher.space.model
        for part in split(ids, parts):
            if len(part) > 1:
                images = self._on_disk(part, presence)
                yield from groups_of(images, self._vectors, near_identical(model), level, order)
        for each in presence.notes:
            self._note(each)
        if presence.ids:
            self._note(gone_note(len(presence.ids)))

    def _vectors(self, ids: Ids) -> Embeddings:
        return vectors_of(self._searcher.index, ids)

    def _on_disk(self, ids: Ids, presence: Presence) -> list[ImageRecord]:
        records = [*self._catalog.get(ids.tolist()).values()]
        gone: set[int] = set()
        for start in range(0, len(records), IMAGES_PER_LOOK):
            some = records[start : start + IMAGES_PER_LOOK]
            gone |= presence.look({each.id: each.file.location for each in some})
        return [each for each in records if each.id not in gone]
