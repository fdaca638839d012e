"""A quick estimate of how far a library is behind its folders.

The modification time of a folder changes when a name in it appears, disappears or is replaced. So
each complete run keeps the times of the folders that it has listed, and a search compares them and
lists those that differ. A file that is overwritten in place changes no folder, so the other folders
are listed as well, the latest first, until enough files were compared. The estimate runs in a
thread beside the search, because a dead network disk may block it.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field

from imgsearch.catalog.overview import Overview
from imgsearch.errors import ImgSearchError
from imgsearch.records import clamped, signed
from imgsearch.sources.folder_source import FilesystemSource
from imgsearch.sources.formats import CANDIDATES, extension
from imgsearch.writing import replace_file

FILE = "folders.json"
MAX_ESTIMATE_SECONDS = 1.0
MAX_FILES = 5000
"""Files in folders with the same times as before that are compared."""
MAX_WAIT_SECONDS = 0.05
"""Longest time that a finished search waits for the estimate."""

FileState = tuple[int, int, int, int]
"""Size, mtime_ns, ctime_ns and inode; the last two are 0 where they are not trusted."""
FolderTimes = dict[str, int]
"""Path below the root -> st_mtime_ns."""


def save(library: str, sources: Iterable[FilesystemSource]) -> None:
    """Keep the times of the folders that complete scans have listed.

    After a failure, searches have no estimate for these folders until the next run.
    """
    kept = _load(library)
    for source in sources:
        before = kept.get(source.root, {})
        elsewhere = {
            path: mtime_ns
            for path, mtime_ns in before.items()
            if source.scope and not f"{path}/".startswith(f"{source.scope}/")
        }
        kept[source.root] = elsewhere | source.folders
    with suppress(OSError):
        data = json.dumps(kept, separators=(",", ":")).encode("ascii")
        replace_file(os.path.join(library, FILE), data, private=True, durable=False)


def _load(library: str) -> dict[str, FolderTimes]:
    try:
        with open(os.path.join(library, FILE), encoding="ascii") as file:
            kept = json.load(file)
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


@dataclass(slots=True)
class Estimate:
    """Files that differ from the catalog; a thread counts them.

    Attributes
    ----------
    new, changed : int
    """

    library: str
    catalog: str = ""
    new: int = 0
    changed: int = 0
    _thread: threading.Thread | None = None
    _until: float = field(default=0.0)

    def start(self) -> Estimate:
        """Begin to count."""
        self._until = time.monotonic() + MAX_ESTIMATE_SECONDS
        self._thread = threading.Thread(target=self._count, daemon=True)
        self._thread.start()
        return self

    def sentence(self) -> str:
        """The counts so far, in words; "" without any."""
        if self._thread is not None:
            self._thread.join(MAX_WAIT_SECONDS)
        counts = {"new": self.new, "changed": self.changed}
        words = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        return f"{words} since the last index: imgsearch index" if words else ""

    def _count(self) -> None:
        with suppress(ImgSearchError, sqlite3.Error, OSError, ValueError, AttributeError):
            kept = _load(self.library)
            if not kept:
                return
            with closing(Overview(self.library, self.catalog)) as overview:
                roots = overview.roots(counted=False)
                for root in roots:
                    times = kept.get(root.path)
                    if times and os.path.isdir(root.path):
                        source = FilesystemSource(
                            root.path, exclude=root.exclude, hidden=root.hidden, roots=roots
                        )
                        self._count_root(overview, source, times)

    def _count_root(self, overview: Overview, root: FilesystemSource, times: FolderTimes) -> None:
        now = {path: _time_of(root.root, path) for path in times}
        waiting = [path for path, time_ns in times.items() if now[path] != time_ns]
        while waiting and time.monotonic() < self._until:
            path = waiting.pop()
            files, folders = _listed(root, path)
            waiting += [each for each in folders if each not in times]
            self._compare(overview.known_files(root.root, list(files)), files)
        left = MAX_FILES
        same = sorted((path for path in times if now[path] == times[path]), key=times.__getitem__)
        while same and left > 0 and time.monotonic() < self._until:
            files, _ = _listed(root, same.pop())
            self._compare(overview.known_files(root.root, list(files)), files)
            left -= len(files)

    def _compare(self, known: Mapping[str, FileState], files: Mapping[str, FileState]) -> None:
        for path, state in files.items():
            self.new += path not in known
            self.changed += _differs(known.get(path, state), state)


def _differs(known: FileState, now: FileState) -> bool:
    """True if size or mtime differ, or what else was stored."""
    identity = zip(known[2:], now[2:], strict=True)
    return known[:2] != now[:2] or any(stored not in (0, seen) for stored, seen in identity)


def _time_of(root: str, path: str) -> int | None:
    try:
        return os.stat(os.path.join(root, path)).st_mtime_ns
    except OSError:
        return None


def _listed(source: FilesystemSource, path: str) -> tuple[dict[str, FileState], list[str]]:
    """The state of each picture in a folder, by its path below the root; its folders.
    Links are passed over: what they lead to may be indexed under its own name."""
    files: dict[str, FileState] = {}
    folders: list[str] = []
    prefix = f"{path}/" if path else ""
    place = os.path.join(source.root, path)
    leaves_out = _rule(source, place)
    for entry in _entries(place):
        if entry.is_symlink():
            continue
        folder = entry.is_dir(follow_symlinks=False)
        if not folder and extension(entry.name) not in CANDIDATES:
            continue
        if leaves_out(entry.name, prefix, folder):
            continue
        if folder:
            folders.append(prefix + entry.name)
        else:
            with suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                files[prefix + entry.name] = (
                    status.st_size,
                    clamped(status.st_mtime_ns),
                    clamped(status.st_ctime_ns),
                    signed(status.st_ino),
                )
    return files, folders


def _rule(source: FilesystemSource, place: str) -> Callable[[str, str, bool], bool]:
    """The names that a scan ignores in a folder, which may have been reached by a link."""
    rules, real = source.rules, os.path.realpath(place)
    inside = rules.below(real)
    if inside is not None and os.path.join(source.root, inside) == place:
        return rules.leaves_out
    return rules.behind_link(real)


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    with suppress(OSError), os.scandir(folder) as entries:
        yield from entries
