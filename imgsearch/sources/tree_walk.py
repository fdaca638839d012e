"""Walks the tree below a root, in path order."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice

from imgsearch.ports import Unchanged
from imgsearch.records import FileRun, ImageFile, Skipped, Unvisited, clamped, signed
from imgsearch.sources import mounts as mounted
from imgsearch.sources import sidecars
from imgsearch.sources.filesystems import UNIDENTIFIED, Identity, filesystem, identity_of
from imgsearch.sources.formats import CANDIDATES, UNSUPPORTED_EXTENSIONS, extension
from imgsearch.sources.guarded_files import os_reason
from imgsearch.sources.scan_rules import ScanRules
from imgsearch.sources.sidecars import FolderSidecars

_FILES_PER_COMPARISON = 1000
"""Maximum number of files that are compared with the catalog at once."""

ScanItem = ImageFile | Skipped | Unvisited


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
    identity : Identity
        What the file system identifies files by.
    links : set of str
        Which of the names are symbolic links.
    sidecars : FolderSidecars or None
        The metadata files, if there are any.
    failures : list
        Entries that could not be examined.
    real : str or None
        For a folder behind a link: its absolute path without links. What the user excludes there
        is excluded behind the link, too.
    """

    prefix: str
    absolute: str
    device: int
    identity: Identity = UNIDENTIFIED
    real: str | None = None
    names: Iterator[str] = field(default_factory=lambda: iter(()))
    links: set[str] = field(default_factory=set)
    sidecars: FolderSidecars | None = None
    failures: list[Skipped | Unvisited] = field(default_factory=list)

    def take(self, absolute: str) -> tuple[FileRun, str | None]:
        """The next files, at most `_FILES_PER_COMPARISON`, up to a name that is not one.

        Returns
        -------
        files : FileRun
        name : str or None
            The first name that is not a regular file.
        """
        names, statuses, other = self._take(absolute)
        paths = [self.prefix + name for name in names]
        files = FileRun(
            paths,
            [status.st_size for status in statuses],
            [status.st_mtime_ns for status in statuses],
            [status.st_ctime_ns for status in statuses]
            if self.identity.ctime
            else [0] * len(paths),
            [status.st_ino for status in statuses] if self.identity.inode else [0] * len(paths),
            [self.stamp(name) for name in names] if self.sidecars else [0] * len(paths),
        )
        return files, other

    def _take(self, absolute: str) -> tuple[list[str], list[os.stat_result], str | None]:
        """This loop is nearly all that a re-scan does for an unchanged file."""
        links, lstat, regular = self.links, os.lstat, stat.S_ISREG
        names: list[str] = []
        statuses: list[os.stat_result] = []
        for name in islice(self.names, _FILES_PER_COMPARISON):
            if name[-1] == "/" or name in links:
                return names, statuses, name
            try:
                status = lstat(absolute + name)
            except OSError:
                return names, statuses, name
            if not regular(status.st_mode):
                return names, statuses, name
            names.append(name)
            statuses.append(status)
        return names, statuses, None

    def stamp(self, name: str) -> int:
        """The stamp of an image's sidecars."""
        return self.sidecars.stamp(self.sidecars.of(name)) if self.sidecars else 0


class TreeWalk:
    """One pass over the tree in path order; holds only the names of the folders it is in.

    It adds the mount points that it enters, relative to the root, to `mounts`.
    """

    def __init__(self, rules: ScanRules, unchanged: Unchanged, mounts: list[str]) -> None:
        self._rules = rules
        self._mounts = mounts
        self._unchanged = unchanged
        self._root = rules.root
        self._identities: dict[int, Identity] = {}
        self._entered: set[tuple[int, int]] = set()
        self._links: list[str] = []
        self.folders: dict[str, int] = {}
        """Modification times of the folders listed, in ns, by path."""

    def run(self) -> Iterator[ScanItem]:
        if self._rules.scope:  # a link from there must not lead into all of the root
            with suppress(OSError):
                self._entered_before(os.stat(self._rules.real_root))
        yield from self._descend(self._rules.scope, None)
        while self._links:
            links, self._links = sorted(self._links), []
            for link in links:
                yield from self._descend(link, self._device(os.path.dirname(link)))

    def _descend(self, path: str, parent_device: int | None) -> Iterator[ScanItem]:
        real = None if path == self._rules.scope else self._real(path)
        stack = [self._folder(path, parent_device, real)]
        while stack:
            folder = stack[-1]
            yield from folder.failures
            folder.failures = []
            below = yield from self._pictures(folder)
            if below is None:
                stack.pop()
            else:
                real = folder.real
                if real is not None:
                    real = os.path.join(real, below[len(folder.prefix) :])
                stack.append(self._folder(below, folder.device, real))

    def _pictures(self, folder: _Folder) -> Generator[ScanItem, None, str | None]:
        """Yield the items of a folder up to its next subfolder; return its path, or None."""
        absolute = os.path.join(folder.absolute, "")
        while True:
            files, name = folder.take(absolute)
            yield from self._new(folder, files)
            if name is None:
                if files.paths:
                    continue
                return None
            path = folder.prefix + name
            if name in folder.links:
                item = self._link(folder, absolute + name, name, path)
            elif name[-1] == "/":
                return path[:-1]
            else:
                item = self._other(folder, absolute + name, path)
            if item is not None:
                yield item

    def _new(self, folder: _Folder, files: FileRun) -> Iterator[ScanItem]:
        for place in self._unchanged(files):
            path = files.paths[place]
            names = folder.sidecars.of(path[len(folder.prefix) :]) if folder.sidecars else ()
            file = ImageFile(
                self._root,
                path,
                files.sizes[place],
                clamped(files.mtimes_ns[place]),
                clamped(files.ctimes_ns[place]),
                signed(files.inodes[place]),
                names,
                files.sidecar_stamps[place],
            )
            yield _supported(file)

    def _other(self, folder: _Folder, absolute: str, path: str) -> ScanItem | None:
        """The item for a name that is not a plain file, link or folder, or cannot be examined."""
        try:
            status = os.lstat(absolute)
        except FileNotFoundError:  # deleted since it was listed
            return None
        except OSError as error:
            return self._unseen(path, error)
        return _picture(self._file(folder, path, status), status)

    def _file(self, folder: _Folder, path: str, status: os.stat_result) -> ImageFile:
        """The file of a status, which may be that of a link's target."""
        name = path[len(folder.prefix) :]
        identity = folder.identity
        if status.st_dev != folder.device:
            identity = self._identity(os.path.join(folder.absolute, name), status.st_dev)
        return ImageFile(
            self._root,
            path,
            status.st_size,
            clamped(status.st_mtime_ns),
            clamped(status.st_ctime_ns) if identity.ctime else 0,
            signed(status.st_ino) if identity.inode else 0,
            folder.sidecars.of(name) if folder.sidecars else (),
            folder.stamp(name),
        )

    def _identity(self, absolute: str, device: int) -> Identity:
        """What the file system of a device identifies files by; asked once in a scan."""
        if device not in self._identities:
            self._identities[device] = identity_of(filesystem(absolute))
        return self._identities[device]

    def _folder(self, path: str, parent_device: int | None, real: str | None) -> _Folder:
        """List a folder; it has no names if it was entered before or cannot be listed."""
        absolute = self._absolute(path)
        folder = _Folder(f"{path}/" if path else "", absolute, 0, real=real)
        names: list[str] = []
        try:
            status = os.stat(absolute)
            if self._entered_before(status):
                return folder
            folder.device = status.st_dev
            folder.identity = self._identity(absolute, status.st_dev)
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
        beside: list[str] = []
        leaves_out: Callable[[str, str, bool], bool] = self._rules.leaves_out
        if folder.real is not None:
            leaves_out = self._rules.behind_link(folder.real)
        candidates, metadata = CANDIDATES, sidecars.EXTENSIONS
        for entry in entries:  # a re-scan does this, too, for every file
            name = entry.name
            stem, _, tail = name.rpartition(".")
            tail = tail.lower() if stem else ""  # as `extension`
            try:
                if tail in metadata and not leaves_out(name, prefix, False):
                    beside.append(name)
                is_file = entry.is_file(follow_symlinks=False)  # nearly all are: no more questions
                if not is_file and entry.is_symlink():
                    folder.links.add(name)
                    names.append(name)
                elif not is_file and entry.is_dir(follow_symlinks=False):
                    if not leaves_out(name, prefix, True):
                        names.append(f"{name}/")
                elif tail in candidates and not leaves_out(name, prefix, False):
                    names.append(name)  # or a pipe, socket or device, which is reported
            except FileNotFoundError:
                continue
            except OSError as error:
                folder.failures.append(self._unseen(prefix + name, error))
        if beside:
            folder.sidecars = FolderSidecars(folder.absolute, beside, folder.identity.ctime)

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
        entered = mounted.is_boundary(absolute, self._rules.ismount)
        if entered and path not in self._mounts[1:]:
            self._mounts.append(path)

    def _link(self, folder: _Folder, absolute: str, name: str, path: str) -> ScanItem | None:
        try:
            target = os.path.realpath(absolute)
            inside = self._rules.below(target)
            status = os.stat(absolute)
        except OSError:
            return self._dangling(name, path)
        leads_to_folder = stat.S_ISDIR(status.st_mode)
        if self._leaves_out(path, leads_to_folder):
            return None
        if inside is not None and self._met(inside, leads_to_folder):
            return None
        if self._rules.excludes_elsewhere(target, leads_to_folder):
            return None
        if leads_to_folder:
            self._links.append(path)
        elif extension(name) in CANDIDATES:
            file = self._file(folder, path, status)
            return None if self._is_unchanged(file, status) else _picture(file, status)
        return None

    def _met(self, path: str, folder: bool) -> bool:
        """True for a place inside the root that has no need of a link: the walk meets it under its
        own name, or the user excludes it."""
        if not path:
            return True
        *above, name = path.split("/")
        prefix, visited = "", True
        for part in above:
            if self._rules.excludes(part, prefix, True):
                return True
            visited = visited and not self._rules.leaves_out(part, prefix, True)
            prefix += f"{part}/"
        if self._rules.excludes(name, prefix, folder):
            return True
        visited = visited and (folder or extension(name) in CANDIDATES)
        return visited and not self._rules.leaves_out(name, prefix, folder)

    def _is_unchanged(self, file: ImageFile, status: os.stat_result) -> bool:
        return stat.S_ISREG(status.st_mode) and not self._unchanged(FileRun.of(file))

    def _dangling(self, name: str, path: str) -> ScanItem | None:
        """The item for a dangling link: to a lost image, or to a disk that is not mounted.

        Only a name without an extension may be that of a folder.
        """
        tail = extension(name)
        folder = tail not in CANDIDATES
        if self._leaves_out(path, folder) or (folder and tail):  # a film, a document
            return None
        reason = "a link that leads nowhere"
        if folder:
            return Unvisited(path, reason)
        return Skipped(ImageFile(self._root, path, 0, 0), reason, transient=True)

    def _leaves_out(self, path: str, folder: bool) -> bool:
        above, slash, name = path.rpartition("/")
        return self._rules.leaves_out(name, above + slash, folder)

    def _real(self, path: str) -> str:
        return os.path.realpath(self._absolute(path))

    def _device(self, path: str) -> int | None:
        try:
            return os.stat(self._absolute(path)).st_dev
        except OSError:
            return None

    def _absolute(self, path: str) -> str:
        return os.path.join(self._root, *path.split("/")) if path else self._root


def _picture(file: ImageFile, status: os.stat_result) -> ImageFile | Skipped:
    if not stat.S_ISREG(status.st_mode):
        return Skipped(file, "not a regular file (a pipe, socket or device)")
    return _supported(file)


def _supported(file: ImageFile) -> ImageFile | Skipped:
    tail = extension(file.path.rpartition("/")[2])
    if tail in UNSUPPORTED_EXTENSIONS:
        kind = UNSUPPORTED_EXTENSIONS[tail]
        return Skipped(file, f"{kind} pictures are not supported: there is no decoder for them")
    return file
