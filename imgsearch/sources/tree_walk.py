"""Walks the tree below a root, in path order."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

from imgsearch.ports import Unchanged
from imgsearch.records import ImageFile, Skipped, Unvisited, clamped
from imgsearch.sources import mounts as mounted
from imgsearch.sources.formats import CANDIDATES, UNSUPPORTED_EXTENSIONS, extension
from imgsearch.sources.guarded_files import os_reason

_FILES_PER_COMPARISON = 1000
"""Maximum number of files that are compared with the catalog at once."""

ScanItem = ImageFile | Skipped | Unvisited
LeavesOut = Callable[[str, str, bool], bool]
"""As `Rules.leaves_out`."""


class Rules(Protocol):
    """The source as the walk sees it."""

    @property
    def root(self) -> str: ...
    @property
    def scope(self) -> str: ...
    def leaves_out(self, name: str, prefix: str, folder: bool) -> bool:
        """True for a name to ignore."""

    def excludes(self, name: str, prefix: str, folder: bool) -> bool:
        """True for a name to ignore because the user said so."""

    def ismount(self, path: str) -> bool: ...
    def note_mount(self, path: str) -> None:
        """Remember a mount point that the walk has entered."""


@dataclass(slots=True)
class _Folder:
    """A listed folder and the walk's position in it.

    Attributes
    ----------
    prefix : str
        Path below the root with a trailing "/"; "" for the root.
    names : iterator of str
        Images, links and folders. Folders have a trailing "/", so that sorting the names puts
        the whole tree into path order.
    links : set of str
        Which of the names are symbolic links.
    failures : list
        Entries that could not be examined.
    real_prefix : str or None
        For a folder inside the root that a link leads to: its own path, like `prefix`. What the
        user excludes there is excluded behind the link, too.
    """

    prefix: str
    absolute: str
    device: int
    real_prefix: str | None = None
    names: Iterator[str] = field(default_factory=lambda: iter(()))
    links: set[str] = field(default_factory=set)
    failures: list[Skipped | Unvisited] = field(default_factory=list)


@dataclass(slots=True)
class _Files:
    """Consecutive files of one folder, in path order."""

    paths: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    times_ns: list[int] = field(default_factory=list)

    def take(self, folder: _Folder, absolute: str) -> str | None:
        """Append the next files, at most `_FILES_PER_COMPARISON`.

        Returns the first name that is not a regular file, or None. This loop is all that a re-scan
        does for an unchanged file.
        """
        prefix, links, lstat, regular = folder.prefix, folder.links, os.lstat, stat.S_ISREG
        for name in islice(folder.names, _FILES_PER_COMPARISON):
            if name[-1] == "/" or name in links:
                return name
            try:
                status = lstat(absolute + name)
            except OSError:
                return name
            if not regular(status.st_mode):
                return name
            self.paths.append(prefix + name)
            self.sizes.append(status.st_size)
            self.times_ns.append(status.st_mtime_ns)
        return None


class TreeWalk:
    """One pass over the tree in path order; holds only the names of the folders it is in."""

    def __init__(self, source: Rules, unchanged: Unchanged) -> None:
        self._source = source
        self._unchanged = unchanged
        self._root = source.root
        self._real_root = os.path.realpath(source.root)
        self._entered: set[tuple[int, int]] = set()
        self._links: list[str] = []
        self.folders: dict[str, int] = {}
        """Modification times of the folders listed, in ns, by path."""

    def run(self) -> Iterator[ScanItem]:
        if self._source.scope:  # a link from there must not lead into all of the root
            with suppress(OSError):
                self._entered_before(os.stat(self._real_root))
        yield from self._descend(self._source.scope, None)
        while self._links:
            links, self._links = sorted(self._links), []
            for link in links:
                yield from self._descend(link, self._device(os.path.dirname(link)))

    def _descend(self, path: str, parent_device: int | None) -> Iterator[ScanItem]:
        real = None if path == self._source.scope else self._below(self._real(path))
        stack = [self._folder(path, parent_device, None if real is None else f"{real}/")]
        while stack:
            folder = stack[-1]
            yield from folder.failures
            folder.failures = []
            below = yield from self._pictures(folder)
            if below is None:
                stack.pop()
            else:
                real = folder.real_prefix
                if real is not None:
                    real += below[len(folder.prefix) :] + "/"
                stack.append(self._folder(below, folder.device, real))

    def _pictures(self, folder: _Folder) -> Generator[ScanItem, None, str | None]:
        """Yield the items of a folder up to its next subfolder; return its path, or None."""
        absolute = os.path.join(folder.absolute, "")
        while True:
            files = _Files()
            name = files.take(folder, absolute)
            yield from self._new(files)
            if name is None:
                if files.paths:
                    continue
                return None
            path = folder.prefix + name
            if name in folder.links:
                item = self._link(absolute + name, name, path)
            elif name[-1] == "/":
                return path[:-1]
            else:
                item = self._other(absolute + name, path)
            if item is not None:
                yield item

    def _new(self, files: _Files) -> Iterator[ScanItem]:
        for place in self._unchanged(files.paths, files.sizes, files.times_ns):
            file = files.paths[place], files.sizes[place], clamped(files.times_ns[place])
            yield _supported(ImageFile(self._root, *file))

    def _other(self, absolute: str, path: str) -> ScanItem | None:
        """The item for a name that is not a plain file, link or folder, or cannot be examined."""
        try:
            status = os.lstat(absolute)
        except FileNotFoundError:  # deleted since it was listed
            return None
        except OSError as error:
            return self._unseen(path, error)
        return _picture(self._root, path, status)

    def _folder(self, path: str, parent_device: int | None, real_prefix: str | None) -> _Folder:
        """List a folder; it has no names if it was entered before or cannot be listed."""
        absolute = self._absolute(path)
        folder = _Folder(f"{path}/" if path else "", absolute, 0, real_prefix)
        names: list[str] = []
        try:
            status = os.stat(absolute)
            if self._entered_before(status):
                return folder
            folder.device = status.st_dev
            self.folders[path] = status.st_mtime_ns
            if parent_device is not None and status.st_dev != parent_device:
                self._cross(path, absolute)
            with os.scandir(absolute) as entries:
                self._list(entries, folder, names)
        except OSError as error:
            folder.failures.append(Unvisited(path, os_reason(error)))
        names.sort()
        folder.names = iter(names)
        return folder

    def _list(self, entries: Iterable[os.DirEntry[str]], folder: _Folder, names: list[str]) -> None:
        """Collect images, links and folders, except those to ignore."""
        prefix = folder.prefix
        leaves_out: LeavesOut = self._source.leaves_out
        if folder.real_prefix is not None:
            leaves_out = self._leaves_out_behind(folder.real_prefix)
        for entry in entries:
            name = entry.name
            try:
                if entry.is_symlink():
                    folder.links.add(name)
                    names.append(name)
                elif entry.is_dir(follow_symlinks=False):
                    if not leaves_out(name, prefix, True):
                        names.append(f"{name}/")
                elif extension(name) in CANDIDATES and not leaves_out(name, prefix, False):
                    names.append(name)
            except FileNotFoundError:
                continue
            except OSError as error:
                folder.failures.append(self._unseen(prefix + name, error))

    def _leaves_out_behind(self, real_prefix: str) -> LeavesOut:
        """The rule for the names behind a link into the root."""
        leaves_out, excludes = self._source.leaves_out, self._source.excludes
        return lambda name, prefix, folder: (
            leaves_out(name, prefix, folder) or excludes(name, real_prefix, folder)
        )

    def _unseen(self, path: str, error: OSError) -> Skipped:
        return Skipped(ImageFile(self._root, path, 0, 0), os_reason(error), transient=True)

    def _entered_before(self, status: os.stat_result) -> bool:
        identity = status.st_dev, status.st_ino
        if identity in self._entered:
            return True
        if status.st_ino:  # some network file systems have no inode numbers
            self._entered.add(identity)
        return False

    def _cross(self, path: str, absolute: str) -> None:
        if mounted.is_boundary(absolute, self._source.ismount):
            self._source.note_mount(path)

    def _link(self, absolute: str, name: str, path: str) -> ScanItem | None:
        try:
            target = os.path.realpath(absolute)
            inside = self._below(target)
            status = os.stat(absolute)
        except OSError:
            return self._dangling(name, path)
        folder = stat.S_ISDIR(status.st_mode)
        if self._leaves_out(path, folder) or (inside is not None and self._met(inside, folder)):
            return None
        if folder:
            self._links.append(path)
        elif extension(name) in CANDIDATES and not self._is_unchanged(path, status):
            return _picture(self._root, path, status)
        return None

    def _met(self, path: str, folder: bool) -> bool:
        """True for a place inside the root that has no need of a link: the walk meets it under its
        own name, or the user excludes it."""
        if not path:
            return True
        *above, name = path.split("/")
        prefix, visited = "", True
        for part in above:
            if self._source.excludes(part, prefix, True):
                return True
            visited = visited and not self._source.leaves_out(part, prefix, True)
            prefix += f"{part}/"
        if self._source.excludes(name, prefix, folder):
            return True
        visited = visited and (folder or extension(name) in CANDIDATES)
        return visited and not self._source.leaves_out(name, prefix, folder)

    def _is_unchanged(self, path: str, status: os.stat_result) -> bool:
        regular = stat.S_ISREG(status.st_mode)
        return regular and not self._unchanged([path], [status.st_size], [status.st_mtime_ns])

    def _dangling(self, name: str, path: str) -> ScanItem | None:
        """The item for a dangling link, to a lost image or a disk that is not mounted."""
        folder = extension(name) not in CANDIDATES
        if self._leaves_out(path, folder):
            return None
        reason = "a link that leads nowhere"
        if folder:
            return Unvisited(path, reason)
        return Skipped(ImageFile(self._root, path, 0, 0), reason, transient=True)

    def _leaves_out(self, path: str, folder: bool) -> bool:
        above, slash, name = path.rpartition("/")
        return self._source.leaves_out(name, above + slash, folder)

    def _real(self, path: str) -> str:
        return os.path.realpath(self._absolute(path))

    def _below(self, real: str) -> str | None:
        """The path below the root of a place, links resolved; None if it lies elsewhere."""
        top = self._real_root.rstrip(os.sep) + os.sep
        if real == self._real_root:
            return ""
        return real[len(top) :].replace(os.sep, "/") if real.startswith(top) else None

    def _device(self, path: str) -> int | None:
        try:
            return os.stat(self._absolute(path)).st_dev
        except OSError:
            return None

    def _absolute(self, path: str) -> str:
        return os.path.join(self._root, *path.split("/")) if path else self._root


def _picture(root: str, path: str, status: os.stat_result) -> ImageFile | Skipped:
    file = ImageFile(root, path, status.st_size, clamped(status.st_mtime_ns))
    if not stat.S_ISREG(status.st_mode):
        return Skipped(file, "not a regular file (a pipe, socket or device)")
    return _supported(file)


def _supported(file: ImageFile) -> ImageFile | Skipped:
    tail = extension(file.path.rpartition("/")[2])
    if tail in UNSUPPORTED_EXTENSIONS:
        kind = UNSUPPORTED_EXTENSIONS[tail]
        return Skipped(file, f"{kind} pictures are not supported: there is no decoder for them")
    return file
