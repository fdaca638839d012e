"""Reads the texts in cataloged pictures: unread -> decode -> read -> commit per batch.

Runs after encoding, so that new pictures are searchable before their texts are read. A text belongs
to the content of a picture: copies are read once, and a moved file keeps its text.

With `--ocr auto`, a glance at each picture, decoded small, comes first. What it sees is committed
as well, so that an interrupted run repeats nothing.
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
    PASSED_OVER,
    PHOTO,
    SEEN,
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
    from imgsearch.catalog.ocr_texts import Unread

BATCH_IMAGES = 8
"""Texts per commit: the few seconds of work that a kill may lose."""
PAGE_IMAGES = 256
"""Pictures per query of the catalog."""
MAX_TEXT_CHARACTERS = 100_000
"""Stored characters of a text; more than a newspaper page has."""
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]")

Place = tuple[str, str]
"""A root and a folder below it; "" for all."""


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
    reader: TextReader
    on_progress: OnProgress
    stop: Callable[[], bool]
    batch_size: int = BATCH_IMAGES
    report: TextReport = field(default_factory=TextReport)
    _waiting: list[TextFound] = field(default_factory=list)
    _stage: str = ""
    _done: int = 0
    _total: int = 0

    def read(self, decoder: Decoder, places: Sequence[Place], which: Unread = "any") -> None:
        """Read unread pictures in these folders, decoded at the reader's `input_size`."""
        self._run("read", which, decoder, places, self._text)

    def glance(self, decoder: Decoder, places: Sequence[Place]) -> None:
        """Note which new pictures have text, decoded at the reader's `glance_size`, measured."""
        self._run("glance", "new", decoder, places, self._first_look)

    def _run(
        self,
        stage: str,
        which: Unread,
        decoder: Decoder,
        places: Sequence[Place],
        work: Callable[[Decoded], TextFound],
    ) -> None:
        start = time.monotonic()
        engine = self.reader.engine
        self._stage, self._done = stage, 0
        self._total = sum(self.catalog.unread_count(*place, engine, which) for place in places)
        self._commit()
        for root, scope in places if self._total else ():
            page = partial(self.catalog.unread, root, scope, engine, limit=PAGE_IMAGES, which=which)
            for record, result in decoded_contents(decoder, page, self.stop):
                self._put(self._outcome(record, result, work))
                if len(self._waiting) >= self.batch_size or self.stop():
                    self._commit()
                if self.stop():
                    break
        self._commit()
        self.report.seconds += time.monotonic() - start

    def _outcome(
        self,
        record: ImageRecord,
        result: Decoded | Skipped,
        work: Callable[[Decoded], TextFound],
    ) -> TextFound | None:
        """The result of `work` on a picture; None if a later run has to retry."""
        engine = self.reader.engine
        if isinstance(result, Skipped):
            changed = _state(result.file) != _state(record.file)
            if result.transient or changed:
                return None
            return TextFound(record.content_hash, engine, reason=result.reason)
        if result.content_hash != record.content_hash:
            return None  # changed since it was indexed
        try:
            return work(result)
        except ImgSearchError:
            raise  # the installation is at fault, so all pictures would fail
        except Exception as error:  # the next picture may succeed
            reason = f"{type(error).__name__}: {error}"[:500]
            return TextFound(record.content_hash, engine, reason=_clean(reason))

    def _text(self, decoded: Decoded) -> TextFound:
        text = _clean(self.reader.read(decoded.pixels))
        return TextFound(decoded.content_hash, self.reader.engine, text)

    def _first_look(self, decoded: Decoded) -> TextFound:
        """Screenshots and documents are read in any case: their letters may be too small here."""
        kind = decoded.measures.kind if decoded.measures else PHOTO
        seen = kind != PHOTO or self.reader.sees_text(decoded.pixels)
        reason = SEEN if seen else PASSED_OVER
        return TextFound(decoded.content_hash, self.reader.engine, reason=reason)

    def _put(self, text: TextFound | None) -> None:
        self._done += 1
        if text is None:
            self.report.put_off += 1
            return
        self._waiting.append(text)
        self.report.passed_over += text.reason == PASSED_OVER
        self.report.failed += text.reason not in ("", PASSED_OVER, SEEN)
        self.report.read += not text.reason
        self.report.with_text += bool(text.text)

    def _commit(self) -> None:
        if self._waiting:
            self.writer.put_texts(self._waiting)
            self._waiting.clear()
        if self._total:
            self.on_progress(Progress(self._stage, self._done, max(self._done, self._total)))


def _state(file: ImageFile) -> tuple[int, int]:
    return file.size, file.mtime_ns


def _clean(text: str) -> str:
    """Normalise for storage and search: composed (NFC), without control characters."""
    plain = _CONTROL.sub(" ", unicodedata.normalize("NFC", text[:MAX_TEXT_CHARACTERS]))
    return "\n".join(filter(None, map(str.strip, plain.split("\n"))))
