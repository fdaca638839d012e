"""Watches folders, and decides which to index again because their files have changed.

The events of the operating system are hints only. They decide when a folder is scanned; the scan
finds the changes, so a lost, doubled or wrong event costs only time. Folders without events
(network disks, more folders than the system can watch) are scanned at intervals, and all folders
once in a while.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from queue import SimpleQueue

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileAttribEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

from imgsearch.records import RootRecord
from imgsearch.sources.filesystems import NETWORK, filesystem
from imgsearch.sources.folder_source import FilesystemSource

MAX_DELAY_SECONDS = 300.0
"""A folder that is written to without a pause is scanned after this time."""
CHECK_SECONDS = 5.0
"""Interval at which folders are compared with the list of roots and their disks."""
RESCAN_SECONDS = 3600.0
"""Interval of the scans of all folders, for events that were lost."""
RETRY_SECONDS = 30.0
"""Delay before folders that could not be indexed are tried again."""
MAX_FOLDERS = 50
"""More changed folders than this in one root are scanned as one: the whole root."""

EVENTS: list[type[FileSystemEvent]] = [
    FileCreatedEvent, FileModifiedEvent, FileAttribEvent, FileMovedEvent, FileDeletedEvent,
    DirCreatedEvent, DirMovedEvent, DirDeletedEvent,
]  # fmt: skip
"""Events of changes, not of reading: a scan would cause the next one."""

Roots = Callable[[], Sequence[RootRecord]]
_Disk = tuple[int, int]


@dataclass(slots=True)
class _Change:
    """Times of the first and the last event of a folder, in seconds of the monotonic clock."""

    first: float
    last: float


@dataclass(slots=True)
class _Watched:
    """A root, and the known changes in it.

    Attributes
    ----------
    disk : (int, int) or None
        Device and inode of the folder, which change when a disk is mounted; None if it is missing.
    polled : bool
        It has no events, and is scanned at intervals.
    due : float
        Time of the next scan of all of it.
    """

    record: RootRecord
    disk: _Disk | None
    polled: bool
    due: float
    source: FilesystemSource
    changes: dict[str, _Change] = field(default_factory=dict)


class _Inbox(FileSystemEventHandler):
    """Puts the paths of events into a queue, from the thread of the observer."""

    def __init__(self, changed: SimpleQueue[str]) -> None:
        self._changed = changed

    def on_any_event(self, event: FileSystemEvent) -> None:
        for path in (event.src_path, event.dest_path):
            if path:
                self._changed.put(os.fsdecode(path))


class Watch:
    """The folders of a library that change, one batch of folders to index after the other.

    Parameters
    ----------
    roots : callable
        Returns the roots to watch; called at intervals, so that new ones are noticed.
    settle_s : float
        A folder is scanned when nothing in it has changed for this long: its files are then
        written to the end.
    poll_s : float
        Interval of the scans of folders without events.
    apart : str
        A folder whose changes do not count: the library.
    note : callable
        Gets notes for the user, one sentence each.
    """

    def __init__(
        self,
        roots: Roots,
        settle_s: float = 2.0,
        poll_s: float = 300.0,
        apart: str = "",
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._roots, self._settle_s, self._poll_s, self._note = roots, settle_s, poll_s, note
        self._apart = os.path.realpath(apart) if apart else ""
        self._watched: dict[str, _Watched] = {}
        self._unwatchable = False

    def batches(self, stop: threading.Event) -> Iterator[Sequence[str]]:
        """Folders to index now, each time some are due, until `stop` is set.

        The first batch is all roots that are there. While a batch is indexed, events are kept.
        """
        while not stop.is_set():
            self._take_over(self._roots())
            yield from self._until_other_roots(stop)

    def again(self, folders: Sequence[str]) -> None:
        """Offer the roots of these folders once more, later: they could not be indexed."""
        for each in self._watched.values():
            if any(_below(folder, each.record.path) is not None for folder in folders):
                each.due = min(each.due, time.monotonic() + RETRY_SECONDS)

    # Roots

    def _take_over(self, records: Sequence[RootRecord]) -> None:
        """Watch exactly these roots; one that is new, or on another disk than before, is due."""
        now = time.monotonic()
        watched: dict[str, _Watched] = {}
        for record in records:
            disk, before = _disk(record.path), self._watched.get(record.path)
            source = FilesystemSource(record.path, exclude=record.exclude, hidden=record.hidden)
            polled = filesystem(record.path) in NETWORK if disk else False
            each = _Watched(record, disk, polled, now if disk else float("inf"), source)
            if before is not None and before.disk == disk:
                each.due, each.changes = before.due, before.changes
            watched[record.path] = each
        self._watched = watched

    def _has_other_roots(self) -> bool:
        records = {record.path: record for record in self._roots()}
        return records.keys() != self._watched.keys() or any(
            _disk(path) != each.disk or _options(records[path]) != _options(each.record)
            for path, each in self._watched.items()
        )

    # Events

    def _until_other_roots(self, stop: threading.Event) -> Iterator[Sequence[str]]:
        """Batches until the roots are other ones, or are on other disks."""
        check = time.monotonic() + CHECK_SECONDS
        for events in self._events(stop):
            for path in events:
                self._take(path)
            if due := self._due():
                yield due
            if time.monotonic() >= check:
                if self._has_other_roots():
                    return
                check = time.monotonic() + CHECK_SECONDS

    def _events(self, stop: threading.Event) -> Iterator[list[str]]:
        """The changed paths of all folders that have events, at least once in each tick."""
        tick_s = min(max(self._settle_s / 2, 0.05), 1.0)
        with self._observed() as changed:
            while not stop.wait(tick_s):
                yield [changed.get_nowait() for _ in range(changed.qsize())]

    @contextmanager
    def _observed(self) -> Iterator[SimpleQueue[str]]:
        """A queue that receives the paths that change while this is open."""
        changed: SimpleQueue[str] = SimpleQueue()
        observer = None
        paths = [p for p, each in self._watched.items() if each.disk and not each.polled]
        if paths and not self._unwatchable:
            try:
                observer = Observer()
                for path in paths:
                    observer.schedule(_Inbox(changed), path, recursive=True, event_filter=EVENTS)
                observer.start()
            except FileNotFoundError:
                pass  # a root went away after `_take_over`; the next check notices
            except OSError as error:
                self._poll_all(error)
        try:
            yield changed
        finally:
            if observer is not None and observer.is_alive():
                observer.stop()
                observer.join()

    def _poll_all(self, error: OSError) -> None:
        """Stop watching, and note why and how to change that."""
        self._unwatchable = True
        for each in self._watched.values():
            each.polled = True
        self._note(
            f"The system cannot watch all folders ({error}), so they are scanned every"
            f" {self._poll_s:.0f} s. To raise the limit on Linux:"
            " sudo sysctl fs.inotify.max_user_watches=1048576"
        )

    def _take(self, path: str) -> None:
        """Note the change of a file or folder."""
        real = os.path.realpath(os.path.dirname(path))
        if self._apart and _below(real, self._apart) is not None:
            return
        for each in self._watched.values():
            below = _below(path, each.record.path)
            if below is not None and not _is_left_out(each.source, below):
                self._change(each, os.path.dirname(path) if below else path)

    def _change(self, watched: _Watched, folder: str) -> None:
        now = time.monotonic()
        change = watched.changes.setdefault(folder, _Change(now, now))
        change.last = now

    # Due scans

    def _due(self) -> Sequence[str]:
        """Folders to scan now, which are no longer due afterwards."""
        now = time.monotonic()
        due: list[str] = []
        for path, each in self._watched.items():
            if each.disk is None:
                continue
            if now >= each.due:
                due.append(path)
                each.due = now + (self._poll_s if each.polled else RESCAN_SECONDS)
                each.changes.clear()
            else:
                due += self._due_below(each, now)
        return due

    def _due_below(self, watched: _Watched, now: float) -> list[str]:
        ready = [
            folder
            for folder, change in watched.changes.items()
            if now - change.last >= self._settle_s or now - change.first >= MAX_DELAY_SECONDS
        ]
        for folder in ready:
            del watched.changes[folder]
        folders = sorted({_existing(folder, watched.record.path) for folder in ready})
        return [watched.record.path] if len(folders) > MAX_FOLDERS else folders


def _options(record: RootRecord) -> tuple[tuple[str, ...], bool]:
    return record.exclude, record.hidden


def _disk(path: str) -> _Disk | None:
    with suppress(OSError):
        status = os.stat(path)
        return status.st_dev, status.st_ino
    return None


def _below(path: str, root: str) -> str | None:
    """The path relative to a root; "" for the root, None outside of it."""
    if path == root:
        return ""
    prefix = root.rstrip(os.sep) + os.sep
    return path[len(prefix) :] if path.startswith(prefix) else None


def _is_left_out(source: FilesystemSource, path: str) -> bool:
    """True for a path below the root that a scan does not reach."""
    prefix = ""
    *folders, name = path.split(os.sep)
    for folder in folders:
        if source.rules.leaves_out(folder, prefix, True):
            return True
        prefix += folder + "/"
    return source.rules.leaves_out(name, prefix, False)


def _existing(folder: str, root: str) -> str:
    """The folder, or the nearest one above it that exists, down to the root."""
    while folder != root and not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return folder
