"""Brings the catalog up to date with the files: scan, compare, digest, encode, commit.

    source.scan -> catalog.compare -+-> unchanged
                                   +-> returned, moved, copied -> commit (no decoding)
                                   +-> new, changed -> pool.encode_files -> commit per batch

The Ingestor knows no index, and never marks a picture absent if it could not scan its folder.
"""

from __future__ import annotations

import json
import tempfile
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import IO, TYPE_CHECKING, TypeVar

import numpy as np

from imgsearch.ports import EncoderPool, ImageSource, Unchanged
from imgsearch.records import (
    CommitResult,
    Comparison,
    Encoded,
    ImageFile,
    ImageMetadata,
    IngestReport,
    Known,
    OnProgress,
    Progress,
    RootRecord,
    Skipped,
    Unvisited,
)
from imgsearch.vectors import EmbeddingSpace, Ids

if TYPE_CHECKING:
    from imgsearch.catalog import Catalog, CatalogWriter


class _Stopped(Exception):
    """Raised in a scan when the user has asked to stop."""


SCAN_BATCH = 1000
READERS = 8
"""Threads that hash files; enough to saturate a network disk."""
KEPT = "Nothing indexed there was removed."
T = TypeVar("T")


def _never() -> bool:
    return False


def _ignore(progress: Progress) -> None:
    pass


def _nothing() -> None:
    pass


@dataclass(slots=True)
class Ingestor:
    """Brings the catalog up to date with the folders.

    Attributes
    ----------
    pool : EncoderPool
        Not used if no file needs a vector, so that it can load its model lazily.
    space : EmbeddingSpace
        The space that the pool encodes into.
    decoder : str
        The versions of the decoders; files that failed with other versions are retried.
    batch_size : int
        Files per commit; a kill loses at most one batch.
    workspace : str
        Folder for the list of waiting files; never below a root.
    stop : callable
        Called between batches; the run ends if it returns True. Committed batches are kept.
    after_commit : callable
        Called after each commit, outside any transaction, for maintenance during long runs.
    """

    catalog: Catalog
    writer: CatalogWriter
    pool: EncoderPool
    space: EmbeddingSpace
    decoder: str
    batch_size: int
    workspace: str
    on_progress: OnProgress = _ignore
    stop: Callable[[], bool] = _never
    after_commit: Callable[[], None] = _nothing
    report: IngestReport = field(default_factory=IngestReport)

    def run(self, sources: Sequence[tuple[ImageSource, RootRecord]]) -> IngestReport:
        """Scan all sources first, then encode their new pictures."""
        start = time.monotonic()
        with Worklist(self.workspace) as work:
            for source, root in sources:
                self._scan(source, root, work)
            self._digest({source.root: source for source, _ in sources}, work)
            self._encode(work)
        self.report.seconds = time.monotonic() - start
        self.report.interrupted = self.stop()
        return self.report

    def _scan(self, source: ImageSource, root: RootRecord, work: Worklist) -> None:
        seen, before = _Seen(), self.report.scanned

        def on_page(unchanged: int) -> None:
            self.on_progress(Progress("scan", max(before + unchanged, self.report.scanned)))
            if self.stop():
                raise _Stopped

        known = self.catalog.unchanged(self.space, source.root, source.scope, on_page)
        try:
            for batch in _batches(_scanned(source, known, seen), SCAN_BATCH):
                if self.stop():
                    raise _Stopped
                comparison = self.catalog.compare(self.space, self.decoder, batch)
                seen.add(comparison)
                self._count(comparison, len(batch))
                self._commit_unread(comparison, work)
        except _Stopped:
            self.report.scan_stopped = True
            return
        finally:
            self._count(Comparison(unchanged=len(known.ids)), len(known.ids))
        self.report.notes += [
            _note(source, folder, root.scanned_at is not None) for folder in seen.unvisited
        ]
        # Moved pictures are first marked absent, and recognised later by their content hash.
        self.report.removed += self.writer.retire(
            source.root, source.scope, seen.images(known.ids), seen.skipped, seen.unvisited
        )
        self.writer.put_root(replace(root, mounts=tuple(source.mounts), scanned_at=datetime.now()))

    def _count(self, comparison: Comparison, scanned: int) -> None:
        self.report.scanned += scanned
        self.report.unchanged += comparison.unchanged
        self.report.skipped += comparison.still_skipped
        self.on_progress(Progress("scan", self.report.scanned))

    def _commit_unread(self, comparison: Comparison, work: Worklist) -> None:
        """Commit or queue everything that needs no open file."""
        if comparison.returned or comparison.to_skip:
            self._commit([*comparison.returned, *comparison.to_skip], work)
        work.put(comparison.to_encode)
        work.put(comparison.to_digest, digest=True)

    def _digest(self, sources: Mapping[str, ImageSource], work: Worklist) -> None:
        """Commit files with known content; queue the others for encoding."""
        total, done = work.waiting(digest=True), 0
        if not total or self._stopped(total):
            return
        with ThreadPoolExecutor(READERS) as readers:
            for batch in _batches(work.take(digest=True), self.batch_size):
                self._commit(
                    list(readers.map(lambda file: sources[file.root].digest(file), batch)), work
                )
                done += len(batch)
                self.on_progress(Progress("digest", done, total))
                if self._stopped(total - done):
                    return

    def _encode(self, work: Worklist) -> None:
        total, done = work.waiting(), 0
        if not total or self._stopped(total):
            return
        self.on_progress(Progress("encode", 0, total))
        results = self.pool.encode_files(work.take())
        for batch in _batches(results, self.batch_size):
            self._commit(batch, work)
            done += len(batch)
            self.report.encoded += sum(isinstance(item, Encoded) for item in batch)
            self.on_progress(Progress("encode", done, total))
            if self._stopped(total - done):
                return

    def _stopped(self, waiting: int) -> bool:
        """True if the run is to end here, which leaves `waiting` files for the next one."""
        stopped = self.stop()
        if stopped:
            self.report.waiting += waiting
        return stopped

    def _commit(self, items: Sequence[Encoded | Known | Skipped], work: Worklist) -> None:
        result: CommitResult = self.writer.commit(items)
        self.report.added += result.added
        self.report.updated += result.updated
        self.report.moved += result.moved
        self.report.removed -= result.moved_now
        self.report.unchanged += result.unchanged
        self.report.skipped += result.skipped
        work.put(result.unresolved)
        self.after_commit()


class Unread:
    """An `EncoderPool` for a dry run: every file gets some vector, and none is opened."""

    def __init__(self, dimension: int) -> None:
        self._vector = np.zeros(dimension, np.float32)

    def encode_files(self, files: Iterable[ImageFile]) -> Iterator[Encoded | Skipped]:
        metadata = ImageMetadata(1, 1, "")
        for file in files:
            yield Encoded(file, f"unread {file.absolute}", metadata, self._vector)

    def close(self) -> None:
        pass


@dataclass(slots=True)
class _Seen:
    """Row ids that a scan has seen again, eight bytes each, and folders that it could not read."""

    _images: array[int] = field(default_factory=lambda: array("q"))
    _skipped: array[int] = field(default_factory=lambda: array("q"))
    unvisited: list[Unvisited] = field(default_factory=list)

    def add(self, comparison: Comparison) -> None:
        self._images.extend(comparison.image_ids)
        self._skipped.extend(comparison.skipped_ids)

    def images(self, unchanged: Ids) -> Ids:
        return np.concatenate([unchanged, np.array(self._images, np.int64)])

    @property
    def skipped(self) -> Ids:
        return np.array(self._skipped, np.int64)


class Worklist:
    """Queue of files on disk, so that a million of them need no memory."""

    def __init__(self, folder: str) -> None:
        self._waiting: dict[bool, IO[str]] = {
            digest: tempfile.TemporaryFile("w+", encoding="ascii", dir=folder)  # noqa: SIM115
            for digest in (False, True)
        }
        self._count = {False: 0, True: 0}

    def __enter__(self) -> Worklist:
        return self

    def __exit__(self, *exception: object) -> None:
        for file in self._waiting.values():
            file.close()

    def waiting(self, digest: bool = False) -> int:
        """Number of files that wait to be encoded or, with `digest`, hashed."""
        return self._count[digest]

    def put(self, files: Iterable[ImageFile], digest: bool = False) -> None:
        """Add files to be encoded or, with `digest`, hashed."""
        spool = self._waiting[digest]
        for file in files:
            line = json.dumps((file.root, file.path, file.size, file.mtime_ns))
            spool.write(line + "\n")
            self._count[digest] += 1

    def take(self, digest: bool = False) -> Iterator[ImageFile]:
        """Remove and yield all files in the order of their insertion."""
        spool = self._waiting[digest]
        spool.seek(0)
        for line in spool:
            yield ImageFile(*json.loads(line))
        spool.seek(0)
        spool.truncate()
        self._count[digest] = 0


def _scanned(source: ImageSource, known: Unchanged, seen: _Seen) -> Iterator[ImageFile | Skipped]:
    for item in source.scan(known):
        if isinstance(item, Unvisited):
            seen.unvisited.append(item)
        else:
            yield item


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _note(source: ImageSource, folder: Unvisited, scanned_before: bool) -> str:
    path = f"{source.root}/{folder.path}" if folder.path else source.root
    end = "" if folder.reason.endswith("?") else "."
    return f"{path}: {folder.reason}{end}" + (f" {KEPT}" if scanned_before else "")
