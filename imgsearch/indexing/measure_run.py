"""Measures pictures whose measures the catalog lacks: decode, measure, commit.

A run of the indexer measures pictures when it decodes them. This is for older pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from imgsearch.indexing.decoded_contents import decoded_contents
from imgsearch.ports import Decoder
from imgsearch.records import (
    Decoded,
    ImageRecord,
    MeasureReport,
    Measures,
    OnProgress,
    Progress,
    Skipped,
)

if TYPE_CHECKING:
    from imgsearch.catalog import Catalog, CatalogWriter

BATCH_IMAGES = 64
"""Measures per commit."""
PAGE_IMAGES = 512
"""Pictures per query of the catalog."""


@dataclass(slots=True)
class MeasureIngestor:
    """Measures the pictures that have not been measured yet.

    Attributes
    ----------
    decoder : Decoder
        With `DecodeSettings.measured`.
    stop : callable
        Called after each picture; the run ends if it returns True. Measures so far are kept.
    """

    catalog: Catalog
    writer: CatalogWriter
    decoder: Decoder
    on_progress: OnProgress
    stop: Callable[[], bool]
    report: MeasureReport = field(default_factory=MeasureReport)
    _waiting: dict[str, Measures] = field(default_factory=dict)
    _total: int = 0

    def run(self, places: Sequence[tuple[str, str]]) -> MeasureReport:
        """Measure pictures in these folders, each a root and a folder below it ("" for all)."""
        self._total = self.catalog.unmeasured_count(places)
        for root, scope in places if self._total else ():
            page = partial(self.catalog.unmeasured, root, scope, limit=PAGE_IMAGES)
            for record, result in decoded_contents(self.decoder, page, self.stop):
                self._put(record, result)
                if len(self._waiting) >= BATCH_IMAGES or self.stop():
                    self._commit()
                if self.stop():
                    break
        self._commit()
        return self.report

    def _put(self, record: ImageRecord, result: Decoded | Skipped) -> None:
        """A file that cannot be read, or has changed since it was indexed, is left for later."""
        same = isinstance(result, Decoded) and result.content_hash == record.content_hash
        if isinstance(result, Decoded) and same and result.measures:
            self._waiting[record.content_hash] = result.measures
            self.report.measured += 1
        else:
            self.report.put_off += 1

    def _commit(self) -> None:
        if self._waiting:
            self.writer.put_measures(self._waiting)
            self._waiting.clear()
        done = self.report.measured + self.report.put_off
        if self._total:
            self.on_progress(Progress("measure", done, max(done, self._total)))
