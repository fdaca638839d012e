"""Reads the texts in cataloged pictures: unread -> decode -> read -> commit per batch.

Runs after encoding, so that new pictures are searchable before their texts are read. A text belongs
to the content of a picture: copies are read once, and a moved file keeps its text.
"""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from imgsearch.errors import ImgSearchError
from imgsearch.indexing.decoded_contents import decoded_contents
from imgsearch.ports import Decoder, TextReader
from imgsearch.records import (
    Decoded,
    ImageFile,
    ImageRecord,
    OnProgress,
    Progress,
    Skipped,
    TextFound,
    TextReport,
)

if TYPE_CHECKING:
    from imgsearch.catalog import Catalog, CatalogWriter

BATCH_IMAGES = 8
"""Texts per commit: the few seconds of work that a kill may lose."""
PAGE_IMAGES = 256
"""Pictures per query of the catalog."""
MAX_TEXT_CHARACTERS = 100_000
"""Stored characters of a text; more than a newspaper page has."""
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(slots=True)
class TextIngestor:
    """Reads the texts of pictures that have not been read yet.

    Attributes
    ----------
    stop : callable
        Called after each picture; the run ends if it returns True. Texts already read are kept.
    """

    catalog: Catalog
    writer: CatalogWriter
    decoder: Decoder
    reader: TextReader
    on_progress: OnProgress
    stop: Callable[[], bool]
    batch_size: int = BATCH_IMAGES
    report: TextReport = field(default_factory=TextReport)
    _waiting: list[TextFound] = field(default_factory=list)
    _total: int = 0

    def run(self, places: Sequence[tuple[str, str]]) -> TextReport:
        """Read the pictures in these folders, each a root and a folder below it ("" for all)."""
        start = time.monotonic()
        self._total = sum(self.catalog.unread_count(*place, self.reader.engine) for place in places)
        self._commit()
        for root, scope in places if self._total else ():
            page = partial(self.catalog.unread, root, scope, self.reader.engine, limit=PAGE_IMAGES)
            for record, result in decoded_contents(self.decoder, page, self.stop):
                self._put(self._read(record, result))
                if len(self._waiting) >= self.batch_size or self.stop():
                    self._commit()
                if self.stop():
                    break
        self._commit()
        self.report.seconds = time.monotonic() - start
        return self.report

    def _read(self, record: ImageRecord, result: Decoded | Skipped) -> TextFound | None:
        """Read a picture; None if a later run has to retry."""
        engine = self.reader.engine
        if isinstance(result, Skipped):
            changed = _state(result.file) != _state(record.file)
            if result.transient or changed:
                return None
            return TextFound(record.content_hash, engine, reason=result.reason)
        if result.content_hash != record.content_hash:
            return None  # changed since it was indexed
        try:
            text = _clean(self.reader.read(result.pixels))
        except ImgSearchError:
            raise  # the installation is at fault, so all pictures would fail
        except Exception as error:  # the next picture may succeed
            reason = f"{type(error).__name__}: {error}"[:500]
            return TextFound(record.content_hash, engine, reason=_clean(reason))
        return TextFound(record.content_hash, engine, text)

    def _put(self, text: TextFound | None) -> None:
        if text is None:
            self.report.put_off += 1
            return
        self.report.failed += bool(text.reason)
        self.report.read += not text.reason
        self.report.with_text += bool(text.text)
        self._waiting.append(text)

    def _commit(self) -> None:
        if self._waiting:
            self.writer.put_texts(self._waiting)
            self._waiting.clear()
        done = self.report.read + self.report.failed + self.report.put_off
        if self._total:
            self.on_progress(Progress("read", done, max(done, self._total)))


def _state(file: ImageFile) -> tuple[int, int]:
    return file.size, file.mtime_ns


def _clean(text: str) -> str:
    """Normalise for storage and search: composed (NFC), without control characters."""
    plain = _CONTROL.sub(" ", unicodedata.normalize("NFC", text[:MAX_TEXT_CHARACTERS]))
    return "\n".join(filter(None, map(str.strip, plain.split("\n"))))
