"""Pictures of the catalog to their texts: unread -> decode -> read -> commit per batch.

It comes after encoding, so that pictures can be searched for before anything is read in them. What
was read belongs to the bytes of a picture: copies are read once, and a moved file keeps its text.
"""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imgsearch.errors import ImgSearchError
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

BATCH = 8
"""Texts per commit: a few seconds of work, which is what a kill may lose."""
PAGE = 256
"""Pictures that are asked of the catalog at a time."""
LONGEST = 100_000
"""Characters of a text that are kept: more than a page of a newspaper has."""
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(slots=True)
class TextIngestor:
    """Reads the texts of pictures that were not read yet.

    Attributes
    ----------
    stop : callable
        Asked after each picture; when it says True the run ends, and what was read is kept.
    """

    catalog: Catalog
    writer: CatalogWriter
    decoder: Decoder
    reader: TextReader
    on_progress: OnProgress
    stop: Callable[[], bool]
    batch_size: int = BATCH
    report: TextReport = field(default_factory=TextReport)
    _waiting: list[TextFound] = field(default_factory=list)
    _total: int = 0

    def run(self, places: Sequence[tuple[str, str]]) -> TextReport:
        """Read what lies in these folders, each a root and the folder below it ("" for all)."""
        started = time.monotonic()
        self._total = sum(self.catalog.unread_count(*place, self.reader.engine) for place in places)
        self._commit()
        for root, scope in places if self._total else ():
            for record, result in self._decoded(root, scope):
                self._put(self._read(record, result))
                if len(self._waiting) >= self.batch_size or self.stop():
                    self._commit()
                if self.stop():
                    break
        self._commit()
        self.report.seconds = time.monotonic() - started
        return self.report

    def _decoded(self, root: str, scope: str) -> Iterator[tuple[ImageRecord, Decoded | Skipped]]:
        """The pictures that were not read yet, by their bytes, each once."""
        after = ""
        while not self.stop():
            page = self.catalog.unread(root, scope, self.reader.engine, after, PAGE)
            if not page:
                return
            records = {record.file.path: record for record in page}
            for result in self.decoder.decode([record.file for record in page]):
                yield records[result.file.path], result
            after = page[-1].content_hash

    def _read(self, record: ImageRecord, result: Decoded | Skipped) -> TextFound | None:
        """What was read; None where another run has to try again."""
        engine = self.reader.engine
        if isinstance(result, Skipped):
            changed = _state(result.file) != _state(record.file)
            if result.transient or changed:
                return None
            return TextFound(record.content_hash, engine, reason=result.reason)
        if result.content_hash != record.content_hash:
            return None  # changed since it was indexed
        try:
            text = _cleaned(self.reader.read(result.pixels))
        except ImgSearchError:
            raise  # the set-up, which no other picture would fare better with
        except Exception as error:  # whatever it is, the next picture may do better
            reason = f"{type(error).__name__}: {error}"[:500]
            return TextFound(record.content_hash, engine, reason=_cleaned(reason))
        return TextFound(record.content_hash, engine, text)

    def _put(self, found: TextFound | None) -> None:
        if found is None:
            self.report.put_off += 1
            return
        self.report.failed += bool(found.reason)
        self.report.read += not found.reason
        self.report.with_text += bool(found.text)
        self._waiting.append(found)

    def _commit(self) -> None:
        if self._waiting:
            self.writer.put_texts(self._waiting)
            self._waiting.clear()
        done = self.report.read + self.report.failed + self.report.put_off
        if self._total:
            self.on_progress(Progress("read", done, max(done, self._total)))


def _state(file: ImageFile) -> tuple[int, int]:
    return file.size, file.mtime_ns


def _cleaned(text: str) -> str:
    """As it can be stored and searched: composed (NFC), without control characters."""
    plain = _CONTROL.sub(" ", unicodedata.normalize("NFC", text[:LONGEST]))
    return "\n".join(filter(None, map(str.strip, plain.split("\n"))))
