"""The walk over a folder: which files are pictures, and what could not be looked at.

Nothing is opened here, and nothing is ever opened for writing. Passed over without a word are
files whose extension is not that of a picture, names that begin with a dot, the folders that
systems and tools keep for themselves (`_NEVER`), and what the user excludes.

Links: one that leads to a place inside the root is not followed, because that place is found
under its own name. One that leads outside is followed, after the real tree, and each real folder
is entered once, so that loops end.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence

from pathspec import GitIgnoreSpec

from imgsearch.errors import SourceError
from imgsearch.records import ImageFile, Known, Skipped, Unvisited, clamped
from imgsearch.sources import mounts as mounted
from imgsearch.sources.files import digest_file, os_reason
from imgsearch.sources.formats import CANDIDATES, UNSUPPORTED_EXTENSIONS, extension

_NEVER = frozenset(
    (
        ".git",
        "@eadir",
        "#recycle",
        "@recycle",
        "$recycle.bin",
        "system volume information",
        "lost+found",
        "node_modules",
    )
)
_RESOURCE_FORK = "._"  # macOS writes one beside each file on foreign disks, named like it

Found = ImageFile | Skipped | Unvisited


class FilesystemSource:
    """A folder and what lies below it; an `ImageSource`.

    Parameters
    ----------
    root : str
        The folder; made absolute.
    scope : str
        Folder below the root, with "/" between its parts: only this part is scanned. "" is all.
    exclude : sequence of str
        Patterns in the manner of .gitignore, matched against the path below the root.
    hidden : bool
        Take names that begin with a dot as well.
    mounts : sequence of str
        The `mounts` of an earlier scan of this root; empty if there was none.
    prune : bool
        Accept that a root is empty and that mount points have gone.
    ismount : callable
        Tells if a folder is a mount point; another one is for tests.

    Raises
    ------
    SourceError
        A pattern in `exclude` cannot be understood.
    """

    def __init__(
        self,
        root: str,
        scope: str = "",
        exclude: Sequence[str] = (),
        *,
        hidden: bool = False,
        mounts: Sequence[str] = (),
        prune: bool = False,
        ismount: Callable[[str], bool] = os.path.ismount,
    ) -> None:
        self._root = os.path.abspath(root)
        self._scope = scope.strip("/")
        self._excluded = _patterns(exclude)
        self._hidden = hidden
        self._remembered = list(mounts)
        self._mounts = list(mounts)
        self._prune = prune
        self._ismount = ismount

    @property
    def root(self) -> str:
        return self._root

    @property
    def scope(self) -> str:
        return self._scope

    @property
    def mounts(self) -> list[str]:
        """What to remember of mount points: the root's own, absolute, then those below it.

        Complete when `scan` has ended. A mount point is forgotten only by a scan with `prune`.
        A bind mount of the file system that it lies in cannot be told from a folder.
        """
        return list(self._mounts)

    def digest(self, file: ImageFile) -> Known | Skipped:
        """Read the file once and hash it, without decoding."""
        return digest_file(file)

    def scan(self) -> Iterator[Found]:
        """Every picture file once, and every folder that could not be looked into."""
        refusal = self._refusal()
        if refusal:
            yield Unvisited("", refusal)
            return
        yield from self._moved()
        points = [point for point in self._remembered[1:] if self._guards(point)]
        gone = list(mounted.unmounted(self._root, points, self._ismount))
        yield from gone
        self._mounts = self._kept()
        yield from _Walk(self).run()
        # A disk that was pulled out while we walked looks just like an empty folder.
        told = {unvisited.path for unvisited in gone}
        here = [p for p in self._mounts[1:] if self._concerned(p) and p not in told]
        yield from mounted.unmounted(self._root, here, self._ismount)
        if refusal := self._refusal():
            yield Unvisited("", refusal)

    def _refusal(self) -> str | None:
        """Why the root cannot be scanned at all; None if it can."""
        try:
            if not stat.S_ISDIR(os.stat(self._root).st_mode):
                return "is a file, not a folder"
            with os.scandir(self._root) as entries:
                empty = next(entries, None) is None
        except FileNotFoundError:
            return "is not there: is the disk mounted?"
        except OSError as error:
            return os_reason(error)
        if empty and not self._prune:
            return "is empty: is the disk mounted?"
        return None

    def _moved(self) -> Iterator[Unvisited]:
        if self._remembered and self._remembered[0] and not self._prune:
            reason = mounted.root_moved(self._root, self._remembered[0], self._ismount)
            if reason:
                yield Unvisited("", reason)

    def _guards(self, point: str) -> bool:
        return not self._prune and self._concerned(point)

    def _concerned(self, point: str) -> bool:
        return mounted.concerns(point, self._scope)

    def _kept(self) -> list[str]:
        """The mount points that are remembered whatever the walk finds."""
        if self._remembered and not self._prune:
            own = self._remembered[0] or mounted.mount_point_of(self._root, self._ismount)
            return [own, *self._remembered[1:]]
        elsewhere = [p for p in self._remembered[1:] if not mounted.below(p, self._scope)]
        return [mounted.mount_point_of(self._root, self._ismount), *elsewhere]

    def _note_mount(self, path: str) -> None:
        if path not in self._mounts[1:]:
            self._mounts.append(path)

    def _leaves_out(self, name: str, path: str, folder: bool) -> bool:
        if name.startswith(".") and (not self._hidden or name.startswith(_RESOURCE_FORK)):
            return True
        if name.lower() in _NEVER:
            return True
        if self._excluded is None:
            return False
        return self._excluded.match_file(path + "/" if folder else path)


class _Walk:
    """One pass over the tree; holds the folders still to be entered, never the files."""

    def __init__(self, source: FilesystemSource) -> None:
        self._source = source
        self._root = source.root
        self._real_root = os.path.realpath(source.root)
        self._entered: set[tuple[int, int]] = set()
        self._folders: list[tuple[str, int | None]] = []
        self._links: list[str] = []

    def run(self) -> Iterator[Found]:
        self._folders.append((self._source.scope, None))
        yield from self._empty_stack()
        while self._links:
            links, self._links = sorted(self._links), []
            for link in links:
                self._folders.append((link, self._device(os.path.dirname(link))))
                yield from self._empty_stack()

    def _empty_stack(self) -> Iterator[Found]:
        while self._folders:
            yield from self._enter(*self._folders.pop())

    def _enter(self, path: str, parent_device: int | None) -> Iterator[Found]:
        absolute = self._absolute(path)
        try:
            status = os.stat(absolute)
            if self._been_in(status):
                return
            if parent_device is not None and status.st_dev != parent_device:
                self._cross(path, absolute)
            with os.scandir(absolute) as entries:
                for entry in entries:
                    found = self._judge(entry, path, status.st_dev)
                    if found is not None:
                        yield found
        except OSError as error:
            yield Unvisited(path, os_reason(error))

    def _been_in(self, status: os.stat_result) -> bool:
        identity = status.st_dev, status.st_ino
        if identity in self._entered:
            return True
        if status.st_ino:  # some network file systems number nothing
            self._entered.add(identity)
        return False

    def _cross(self, path: str, absolute: str) -> None:
        if mounted.is_boundary(absolute, self._source._ismount):
            self._source._note_mount(path)

    def _judge(self, entry: os.DirEntry[str], folder: str, device: int) -> Found | None:
        """A picture, or None: nothing, or a folder or link that was put down for later."""
        name = entry.name
        path = f"{folder}/{name}" if folder else name
        try:
            if entry.is_symlink():
                return self._link(entry, name, path)
            if entry.is_dir(follow_symlinks=False):
                if not self._source._leaves_out(name, path, folder=True):
                    self._folders.append((path, device))
                return None
            tail = extension(name)
            if tail not in CANDIDATES or self._source._leaves_out(name, path, folder=False):
                return None
            return _picture(self._root, path, tail, entry.stat(follow_symlinks=False))
        except FileNotFoundError:  # gone since it was listed
            return None
        except OSError as error:
            return Skipped(ImageFile(self._root, path, 0, 0), os_reason(error), transient=True)

    def _link(self, entry: os.DirEntry[str], name: str, path: str) -> Found | None:
        target = os.path.realpath(entry.path)
        if self._inside(target):
            return self._dangling(entry, name, path) if not os.path.lexists(target) else None
        try:
            status = os.stat(entry.path)
        except OSError:
            return self._dangling(entry, name, path)
        folder = stat.S_ISDIR(status.st_mode)
        if self._source._leaves_out(name, path, folder):
            return None
        if folder:
            self._links.append(path)
            return None
        tail = extension(name)
        return _picture(self._root, path, tail, status) if tail in CANDIDATES else None

    def _dangling(self, entry: os.DirEntry[str], name: str, path: str) -> Found | None:
        """A link that leads nowhere: to a picture that is lost, or to a disk that is away."""
        if self._source._leaves_out(name, path, folder=False):
            return None
        reason = "a link that leads nowhere"
        if extension(name) not in CANDIDATES:
            return Unvisited(path, reason)
        return Skipped(ImageFile(self._root, path, 0, 0), reason, transient=True)

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


def _picture(root: str, path: str, tail: str, status: os.stat_result) -> ImageFile | Skipped:
    file = ImageFile(root, path, status.st_size, clamped(status.st_mtime_ns))
    if not stat.S_ISREG(status.st_mode):
        return Skipped(file, "not a regular file (a pipe, socket or device)")
    if tail in UNSUPPORTED_EXTENSIONS:
        kind = UNSUPPORTED_EXTENSIONS[tail]
        return Skipped(file, f"{kind} pictures are not supported: there is no decoder for them")
    return file


def _patterns(exclude: Sequence[str]) -> GitIgnoreSpec | None:
    try:
        return GitIgnoreSpec.from_lines(exclude) if exclude else None
    except ValueError as error:
        raise SourceError(
            f"an exclude pattern cannot be understood: {error}",
            "Patterns are written as in a .gitignore file, for example: --exclude 'drafts/'",
        ) from error
