"""Names the places of pictures that have a position.

New ones are named as they are committed, those in the catalog without opening their files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from imgsearch.errors import SourceError
from imgsearch.records import (
    GAZETTEER_VERSION,
    Encoded,
    ImageMetadata,
    Known,
    OnProgress,
    Progress,
    Skipped,
)

if TYPE_CHECKING:
    from imgsearch.catalog import Catalog, CatalogWriter
    from imgsearch.sources.gazetteer import Gazetteer

IMAGES_PER_COMMIT = 1000


class PlaceNames:
    """The gazetteer, loaded for the first position. Without its data, places stay unnamed.

    Parameters
    ----------
    note : callable
        Gets a note for the user if the data cannot be read.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._gazetteer: Gazetteer | None = None
        self._failed = False

    def named(self, metadata: ImageMetadata) -> ImageMetadata:
        """Metadata with the names of its position; the same if it has none."""
        if metadata.latitude is None or not self._ready():
            return metadata
        from imgsearch.sources.gazetteer import with_place_names

        assert self._gazetteer is not None
        return with_place_names(metadata, self._gazetteer)

    def named_items(
        self, items: Sequence[Encoded | Known | Skipped]
    ) -> list[Encoded | Known | Skipped]:
        """The results for files, with named places where their metadata was read."""
        return [self._named_item(item) for item in items]

    def name_old(
        self,
        catalog: Catalog,
        writer: CatalogWriter,
        on_progress: OnProgress,
        stop: Callable[[], bool],
    ) -> int:
        """Name the places of the pictures that are in the catalog; returns their number.

        Each commit is final, so that a run that was stopped is continued by the next one.
        """
        done = 0
        while not stop():
            found = catalog.unnamed_places(GAZETTEER_VERSION, IMAGES_PER_COMMIT)
            if not found or not self._ready():
                break
            writer.put_place_names([(key, self.named(metadata)) for key, metadata in found])
            done += len(found)
            on_progress(Progress("places", done))
        return done

    def _named_item(self, item: Encoded | Known | Skipped) -> Encoded | Known | Skipped:
        if isinstance(item, Skipped) or item.metadata is None:
            return item
        named = self.named(item.metadata)
        return item if named is item.metadata else replace(item, metadata=named)

    def _ready(self) -> bool:
        if self._gazetteer is None and not self._failed:
            from imgsearch.sources.gazetteer import Gazetteer

            try:
                self._gazetteer = Gazetteer()
            except SourceError as error:
                self._failed = True
                self._note(f"{error}. {error.hint}")
        return not self._failed
