"""Brings the catalog up to date with the files: scan, compare, digest, encode, commit.

    source.scan -> catalog.compare -+-> unchanged
                                   +-> returned, moved, copied, touched -> commit (no decoding)
                                   +-> other sidecars -> pool.describe_files -> commit per batch
                                   +-> new, changed -> pool.encode_files -> commit per batch

The Ingestor knows no index, and never marks a picture absent if it could not scan its folder.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, field, replace
from datetime import datetime
from itertools import islice
from typing import IO, TYPE_CHECKING, TypeVar

import numpy as np

from imgsearch.indexing.place_names import PlaceNames
from imgsearch.indexing.verification import Verification
from imgsearch.ports import EncoderPool, ImageSource, Unchanged, nothing_known
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
from imgsearch.sources.guarded_files import digest_file
from imgsearch.vectors import EmbeddingSpace, Ids

if TYPE_CHECKING:
    from imgsearch.catalog import Catalog, CatalogWriter


class _Stopped(Exception):
    """Raised in a scan when the user has asked to stop."""


SCAN_BATCH_FILES = 1000
FILES_PER_POSITION = 1000
"""A verification that is killed hashes at most this many files again."""
DIGEST, DESCRIBE, DESCRIBE_AGAIN, ENCODE, VERIFY = _STAGES = (
    "digest",
    "describe",
    "describe again",
    "encode",
    "verify",
)
MAX_READER_THREADS = 8
"""Threads that hash files; enough to saturate a network disk."""
KEPT_NOTE = "Nothing indexed there was removed."
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
    verification : Verification or None
        Hash the files that it has pending, though they seem unchanged.
    place_names : PlaceNames or None
        Names the places of pictures with a position.
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
    verification: Verification | None = None
    place_names: PlaceNames | None = None
    report: IngestReport = field(default_factory=IngestReport)

    def run(self, sources: Sequence[tuple[ImageSource, RootRecord]]) -> IngestReport:
        """Scan all sources first, then encode their new pictures."""
        start = time.monotonic()
        with Worklist(self.workspace) as work:
            for source, root in sources:
                self._scan(source, root, work)
            self._digest({source.root: source for source, _ in sources}, work)
            self._read(work)
            self._verify([source for source, _ in sources], work)
        self.report.seconds = time.monotonic() - start
        self.report.interrupted = self.stop()
        if self.verification and not self.report.interrupted:
            self.verification.finish(_place(source) for source, _ in sources)
        return self.report

    def _read(self, work: Worklist) -> None:
        """Read the files that wait for it: some for their metadata alone."""
        self._describe(work, DESCRIBE)
        self._describe(work, DESCRIBE_AGAIN)
        self._encode(work)

    def _scan(self, source: ImageSource, root: RootRecord, work: Worklist) -> None:
        seen, before = _Seen(), self.report.scanned

        def on_page(unchanged: int) -> None:
            self.on_progress(Progress("scan", max(before + unchanged, self.report.scanned)))
            if self.stop():
                raise _Stopped

        known = self.catalog.unchanged(self.space, source.root, source.scope, on_page)
        unchanged = nothing_known if self.verification else known
        try:
            for batch in _batches(_scanned(source, unchanged, seen), SCAN_BATCH_FILES):
                if self.stop():
                    raise _Stopped
                pending = self._pending(source, batch)
                comparison = self.catalog.compare(self.space, self.decoder, batch, pending)
                seen.add(comparison)
                self._count(comparison, len(batch))
                self._commit_unread(comparison, work)
        except _Stopped:
            self.report.scan_stopped = True
            return
        finally:
            self._count(Comparison(unchanged=len(known.ids)), len(known.ids))
            self.report.outdated += known.outdated
        self.report.notes += [
            _note(source, folder, root.scanned_at is not None) for folder in seen.unvisited
        ]
        # Moved pictures are first marked absent, and recognised later by their content hash.
        self.report.removed += self.writer.retire(
            source.root, source.scope, seen.images(known.ids), seen.skipped, seen.unvisited
        )
        self.writer.put_root(replace(root, mounts=tuple(source.mounts), scanned_at=datetime.now()))

    def _pending(self, source: ImageSource, batch: Sequence[ImageFile | Skipped]) -> frozenset[str]:
        if self.verification is None:
            return frozenset()
        paths = [file.path for file in batch if isinstance(file, ImageFile)]
        return self.verification.pending(_place(source), paths)

    def _count(self, comparison: Comparison, scanned: int) -> None:
        self.report.scanned += scanned
        self.report.unchanged += comparison.unchanged
        self.report.skipped += comparison.still_skipped
        self.on_progress(Progress("scan", self.report.scanned))

    def _commit_unread(self, comparison: Comparison, work: Worklist) -> None:
        """Commit or queue everything that needs no open file."""
        known = [*comparison.returned, *comparison.restamped]
        if known or comparison.to_skip:
            self._commit([*known, *comparison.to_skip], work)
        work.put(comparison.to_encode, ENCODE)
        work.put(comparison.to_describe, DESCRIBE)
        work.put(comparison.to_digest, DIGEST)
        work.put(comparison.to_verify, VERIFY)

    def _digest(self, sources: Mapping[str, ImageSource], work: Worklist) -> None:
        """Commit files with known content; queue the others for encoding."""
        total, done = work.waiting(DIGEST), 0
        if not total or self._stopped(total):
            return
        with ThreadPoolExecutor(MAX_READER_THREADS) as readers:
            for batch in _batches(work.take(DIGEST), self.batch_size):
                self._commit(
                    list(readers.map(lambda file: sources[file.root].digest(file), batch)), work
                )
                done += len(batch)
                self.on_progress(Progress("digest", done, total))
                if self._stopped(total - done):
                    return

    def _describe(self, work: Worklist, stage: str) -> None:
        """Read metadata again; `DESCRIBE_AGAIN` for files that have been counted before."""
        total, done = work.waiting(stage), 0
        if not total or self._stopped(0 if stage == DESCRIBE_AGAIN else total):
            return
        self.on_progress(Progress("describe", 0, total))
        for batch in _batches(self.pool.describe_files(work.take(stage)), self.batch_size):
            self._commit(batch, work, counted=stage == DESCRIBE_AGAIN)
            done += len(batch)
            self.on_progress(Progress("describe", done, total))
            if self._stopped(0 if stage == DESCRIBE_AGAIN else total - done):
                return

    def _verify(self, sources: Sequence[ImageSource], work: Worklist) -> None:
        """Hash files that seem unchanged, and read at once those that are not.

        A position is saved when nothing before it is waiting.
        """
        total, done = work.waiting(VERIFY), 0
        if not total or self.verification is None or self.stop():
            return
        by_root = {source.root: source for source in sources}
        with ThreadPoolExecutor(MAX_READER_THREADS) as readers:
            for chunk in _batches(work.take(VERIFY), FILES_PER_POSITION):
                for batch in _batches(chunk, self.batch_size):
                    self._verify_batch(by_root, batch, readers, work)
                    done += len(batch)
                    self.on_progress(Progress("verify", done, total))
                    if self.stop():
                        return
                self._read(work)
                if self.stop():
                    return
                for source in sources:
                    self._save_position(source, chunk)

    def _verify_batch(
        self,
        sources: Mapping[str, ImageSource],
        batch: Sequence[ImageFile],
        readers: ThreadPoolExecutor,
        work: Worklist,
    ) -> None:
        """Hash a batch; files whose metadata an older reader has read are read again as well."""
        outdated = self.catalog.outdated(batch)
        old = [file for file in batch if file in outdated]
        hashed = readers.map(
            lambda file: sources[file.root].digest(file), (f for f in batch if f not in outdated)
        )
        items = [*hashed, *(self.pool.describe_files(old) if old else ())]
        self._commit(items, work)
        self.report.verified += sum(isinstance(item, Known) for item in items)

    def _save_position(self, source: ImageSource, chunk: Sequence[ImageFile]) -> None:
        below = f"{source.scope}/" if source.scope else ""
        paths = [f.path for f in chunk if f.root == source.root and f.path.startswith(below)]
        if paths and self.verification:
            self.verification.save(_place(source), max(paths))

    def _encode(self, work: Worklist) -> None:
        total, done = work.waiting(ENCODE), 0
        if not total or self._stopped(total):
            return
        self.on_progress(Progress("encode", 0, total))
        results = self.pool.encode_files(work.take(ENCODE))
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

    def _commit(
        self, items: Sequence[Encoded | Known | Skipped], work: Worklist, counted: bool = False
    ) -> None:
        if self.place_names is not None:
            items = self.place_names.named_items(items)
        result: CommitResult = self.writer.commit(items)
        self.report.added += result.added
        self.report.updated += 0 if counted else result.updated
        self.report.differed += result.differed
        self.report.moved += result.moved
        self.report.removed -= result.moved_now
        self.report.unchanged += result.unchanged
        self.report.skipped += result.skipped
        work.put(result.unresolved, ENCODE)
        work.put(result.undescribed, DESCRIBE_AGAIN)
        self.after_commit()


class Unread:
    """An `EncoderPool` for a dry run: every file gets some vector, and none is opened."""

    def __init__(self, dimension: int) -> None:
        self._vector = np.zeros(dimension, np.float32)

    def encode_files(self, files: Iterable[ImageFile]) -> Iterator[Encoded | Skipped]:
        for file in files:
            yield Encoded(file, f"unread {file.absolute}", _UNREAD_METADATA, self._vector)

    def describe_files(self, files: Iterable[ImageFile]) -> Iterator[Known | Skipped]:
        """Files whose sidecars have changed; hashed, because the content must be the same."""
        for file in files:
            result = digest_file(file)
            yield (
                replace(result, metadata=_UNREAD_METADATA) if isinstance(result, Known) else result
            )

    def close(self) -> None:
        pass


_UNREAD_METADATA = ImageMetadata(1, 1, "")


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
    """Queues of files on disk, one for each stage, so that a million of them need no memory."""

    def __init__(self, folder: str) -> None:
        self._waiting: dict[str, IO[str]] = {
            stage: tempfile.TemporaryFile("w+", encoding="ascii", dir=folder)  # noqa: SIM115
            for stage in _STAGES
        }
        self._count = dict.fromkeys(_STAGES, 0)

    def __enter__(self) -> Worklist:
        return self

    def __exit__(self, *exception: object) -> None:
        for file in self._waiting.values():
            file.close()

    def waiting(self, stage: str) -> int:
        """Number of files that wait for a stage."""
        return self._count[stage]

    def put(self, files: Iterable[ImageFile], stage: str) -> None:
        """Add files to the queue of a stage."""
        spool = self._waiting[stage]
        for file in files:
            spool.write(json.dumps(astuple(file)) + "\n")
            self._count[stage] += 1

    def take(self, stage: str) -> Iterator[ImageFile]:
        """Remove and yield all files of a queue, in the order of their insertion."""
        spool = self._waiting[stage]
        spool.seek(0)
        for line in spool:
            file = ImageFile(*json.loads(line))
            yield replace(file, sidecars=tuple(file.sidecars))
        spool.seek(0)
        spool.truncate()
        self._count[stage] = 0


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


def _place(source: ImageSource) -> str:
    return os.path.join(source.root, *source.scope.split("/")) if source.scope else source.root


def _note(source: ImageSource, folder: Unvisited, scanned_before: bool) -> str:
    path = f"{source.root}/{folder.path}" if folder.path else source.root
    end = "" if folder.reason.endswith("?") else "."
    return f"{path}: {folder.reason}{end}" + (f" {KEPT_NOTE}" if scanned_before else "")
