"""One pass over the tree below a root, in the order of paths."""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

from imgsearch.ports import Unchanged
from imgsearch.records import ImageFile, Skipped, Unvisited, clamped
from imgsearch.sources import mounts as mounted
from imgsearch.sources.formats import CANDIDATES, UNSUPPORTED_EXTENSIONS, extension
from imgsearch.sources.guarded_files import os_reason

_TOGETHER = 1000
"""Files that are compared with the catalog in one go."""

Found = ImageFile | Skipped | Unvisited


class Rules(Protocol):
    """What the walk asks of its source."""

    @property
    def root(self) -> str: ...
    @property
    def scope(self) -> str: ...
    def leaves_out(self, name: str, prefix: str, folder: bool) -> bool:
        """True for a name that is passed over without a word."""

    def ismount(self, path: str) -> bool: ...
    def note_mount(self, path: str) -> None:
        """A mount point was entered."""


@dataclass(slots=True)
class _Folder:
    """A folder that was listed, and how far the walk has come in it.

    Attributes
    ----------
    prefix : str
        Path below the root, with "/" behind it; "" for the root.
    names : iterator of str
        Pictures, links and folders, those with "/" behind them, so that sorting brings the whole
        tree into the order of paths.
    links : set of str
        Which of the names are symbolic links.
    odd : list
        What could not be looked at.
    """

    prefix: str
    absolute: str
    device: int
    names: Iterator[str] = field(default_factory=lambda: iter(()))
    links: set[str] = field(default_factory=set)
    odd: list[Skipped | Unvisited] = field(default_factory=list)


@dataclass(slots=True)
class _Files:
    """Files of one folder that follow each other, in the order of paths."""

    paths: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    times_ns: list[int] = field(default_factory=list)

    def take(self, folder: _Folder, absolute: str) -> str | None:
        """Take in the files that come next, `_TOGETHER` at most; the name that is none, or None.

        All that a re-scan does to a file that has not changed is in this loop.
        """
        prefix, links, lstat, regular = folder.prefix, folder.links, os.lstat, stat.S_ISREG
        for name in islice(folder.names, _TOGETHER):
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


class Descent:
    """One pass over the tree in the order of paths; holds names of the folders that it is in."""

    def __init__(self, source: Rules, unchanged: Unchanged) -> None:
        self._source = source
        self._unchanged = unchanged
        self._root = source.root
        self._real_root = os.path.realpath(source.root)
        self._entered: set[tuple[int, int]] = set()
        self._links: list[str] = []

    def run(self) -> Iterator[Found]:
        yield from self._descend(self._source.scope, None)
        while self._links:
            links, self._links = sorted(self._links), []
            for link in links:
                yield from self._descend(link, self._device(os.path.dirname(link)))

    def _descend(self, path: str, parent_device: int | None) -> Iterator[Found]:
        stack = [self._listed(path, parent_device)]
        while stack:
            folder = stack[-1]
            yield from folder.odd
            folder.odd = []
            below = yield from self._pictures(folder)
            if below is None:
                stack.pop()
            else:
                stack.append(self._listed(below, folder.device))

    def _pictures(self, folder: _Folder) -> Generator[Found, None, str | None]:
        """What is new in a folder up to the next one in it; returns its path, None at the end."""
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
                found = self._link(absolute + name, name, path)
            elif name[-1] == "/":
                return path[:-1]
            else:
                found = self._odd(absolute + name, path)
            if found is not None:
                yield found

    def _new(self, files: _Files) -> Iterator[Found]:
        for place in self._unchanged(files.paths, files.sizes, files.times_ns):
            file = files.paths[place], files.sizes[place], clamped(files.times_ns[place])
            yield _judged(ImageFile(self._root, *file))

    def _odd(self, absolute: str, path: str) -> Found | None:
        """What is neither a plain file nor a link nor a folder, or cannot be looked at."""
        try:
            status = os.lstat(absolute)
        except FileNotFoundError:  # gone since it was listed
            return None
        except OSError as error:
            return self._unseen(path, error)
        return _picture(self._root, path, status)

    def _listed(self, path: str, parent_device: int | None) -> _Folder:
        """The names in a folder; none if it was entered before, or cannot be."""
        absolute = self._absolute(path)
        folder = _Folder(f"{path}/" if path else "", absolute, 0)
        names: list[str] = []
        try:
            status = os.stat(absolute)
            if self._been_in(status):
                return folder
            folder.device = status.st_dev
            if parent_device is not None and status.st_dev != parent_device:
                self._cross(path, absolute)
            with os.scandir(absolute) as entries:
                self._list(entries, folder, names)
        except OSError as error:
            folder.odd.append(Unvisited(path, os_reason(error)))
        names.sort()
        folder.names = iter(names)
        return folder

    def _list(self, entries: Iterable[os.DirEntry[str]], folder: _Folder, names: list[str]) -> None:
        """Take down pictures, links and folders, unless they are to be left out."""
        prefix, leaves_out = folder.prefix, self._source.leaves_out
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
                folder.odd.append(self._unseen(prefix + name, error))

    def _unseen(self, path: str, error: OSError) -> Skipped:
        return Skipped(ImageFile(self._root, path, 0, 0), os_reason(error), transient=True)

    def _been_in(self, status: os.stat_result) -> bool:
        identity = status.st_dev, status.st_ino
        if identity in self._entered:
            return True
        if status.st_ino:  # some network file systems number nothing
            self._entered.add(identity)
        return False

    def _cross(self, path: str, absolute: str) -> None:
        if mounted.is_boundary(absolute, self._source.ismount):
            self._source.note_mount(path)

    def _link(self, absolute: str, name: str, path: str) -> Found | None:
        try:
            target = os.path.realpath(absolute)
            if self._inside(target):
                return self._dangling(name, path) if not os.path.lexists(target) else None
            status = os.stat(absolute)
        except OSError:
            return self._dangling(name, path)
        folder = stat.S_ISDIR(status.st_mode)
        if self._leaves_out(path, folder):
            return None
        if folder:
            self._links.append(path)
        elif extension(name) in CANDIDATES and not self._same(path, status):
            return _picture(self._root, path, status)
        return None

    def _same(self, path: str, status: os.stat_result) -> bool:
        same = stat.S_ISREG(status.st_mode)
        return same and not self._unchanged([path], [status.st_size], [status.st_mtime_ns])

    def _dangling(self, name: str, path: str) -> Found | None:
        """A link that leads nowhere: to a picture that is lost, or to a disk that is away."""
        if self._leaves_out(path, folder=False):
            return None
        reason = "a link that leads nowhere"
        if extension(name) not in CANDIDATES:
            return Unvisited(path, reason)
        return Skipped(ImageFile(self._root, path, 0, 0), reason, transient=True)

    def _leaves_out(self, path: str, folder: bool) -> bool:
        above, slash, name = path.rpartition("/")
        return self._source.leaves_out(name, above + slash, folder)

    def _inside(self, target: str) -> bool:
        top = self._real_root
        return target == top or target.startswith(top.rstrip(os.sep) + os.sep)

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
    return _judged(file)


def _judged(file: ImageFile) -> ImageFile | Skipped:
    tail = extension(file.path.rpartition("/")[2])
    if tail in UNSUPPORTED_EXTENSIONS:
        kind = UNSUPPORTED_EXTENSIONS[tail]
        return Skipped(file, f"{kind} pictures are not supported: there is no decoder for them")
    return file
