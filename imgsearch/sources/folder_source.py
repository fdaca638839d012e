"""Scans a folder: lists its image files and what could not be examined.

No file is opened here, and none is ever opened for writing. A scan silently ignores files without
the extension of an image, names that start with a dot, folders of `default_excludes`, and what the
user excludes.

A link to a place that is scanned under its own name is not followed, and neither is one to a place
that the user excludes, in this folder or in another one of the library. Other links lead out of the
root, or to a place inside that the scan leaves out otherwise, such as `.git/annex`. Links to
folders are followed after the real tree, and each real folder is entered only once, so loops end.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence

from imgsearch.ports import Unchanged, nothing_known
from imgsearch.records import ImageFile, Known, RootRecord, Skipped, Unvisited
from imgsearch.sources import mounts as mounted
from imgsearch.sources.guarded_files import digest_file, os_reason
from imgsearch.sources.scan_rules import ScanRules
from imgsearch.sources.tree_walk import ScanItem, TreeWalk


class FilesystemSource:
    """An `ImageSource`: a folder and everything below it.

    Parameters
    ----------
    root : str
        The folder; converted to an absolute path.
    scope : str
        Folder below the root to scan, with "/" between its parts; "" scans everything.
    exclude : sequence of str
        Patterns in .gitignore syntax, matched against the path below the root.
    hidden : bool
        Include names that start with a dot.
    mounts : sequence of str
        The `mounts` of the previous scan of this root; empty if there was none.
    prune : bool
        Accept an empty root and missing mount points.
    roots : sequence of RootRecord
        The folders of the library. A link here does not lead to places that another one excludes.
    ismount : callable
        Returns whether a folder is a mount point; tests pass their own.

    Raises
    ------
    SourceError
        A pattern in `exclude` is invalid.
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
        roots: Sequence[RootRecord] = (),
        ismount: Callable[[str], bool] = os.path.ismount,
    ) -> None:
        self._root = os.path.abspath(root)
        self._scope = scope.strip("/")
        self._ismount = ismount
        self.rules = ScanRules(self._root, self._scope, exclude, hidden, roots, ismount)
        self._known_mounts = list(mounts)
        self._mounts = list(mounts)
        self._prune = prune
        self.folders: dict[str, int] = {}
        """After a scan: the modification times in ns of the folders listed, by path."""

    @property
    def root(self) -> str:
        return self._root

    @property
    def scope(self) -> str:
        return self._scope

    @property
    def mounts(self) -> list[str]:
        """The mount points to remember: the root's own as an absolute path, then those below it.

        Complete when `scan` has ended. Only a scan with `prune` forgets a mount point. A bind mount
        of the same file system cannot be distinguished from a folder.
        """
        return list(self._mounts)

    def digest(self, file: ImageFile) -> Known | Skipped:
        """Read the file once and hash it, without decoding it."""
        return digest_file(file)

    def scan(self, unchanged: Unchanged = nothing_known) -> Iterator[ScanItem]:
        """Every image file once, and every folder that could not be listed.

        Files that `unchanged` recognises are left out. It is called in path order, except for files
        behind links.
        """
        refusal = self._refusal()
        if refusal:
            yield Unvisited("", refusal)
            return
        yield from self._mount_changes()
        points = [point for point in self._known_mounts[1:] if self._must_exist(point)]
        missing = list(mounted.unmounted(self._root, points, self._ismount))
        yield from missing
        self._mounts = self._initial_mounts()
        walk = TreeWalk(self.rules, unchanged, self._mounts)
        yield from walk.run()
        self.folders = walk.folders
        # A disk that was pulled out during the walk looks like an empty folder.
        reported = {unvisited.path for unvisited in missing}
        points = [p for p in self._mounts[1:] if self._in_scope(p) and p not in reported]
        yield from mounted.unmounted(self._root, points, self._ismount)
        if refusal := self._refusal():
            yield Unvisited("", refusal)

    def _refusal(self) -> str | None:
        """The reason why the root cannot be scanned, or None."""
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

    def _mount_changes(self) -> Iterator[Unvisited]:
        if self._known_mounts and self._known_mounts[0] and not self._prune:
            reason = mounted.root_moved(self._root, self._known_mounts[0], self._ismount)
            if reason:
                yield Unvisited("", reason)

    def _must_exist(self, point: str) -> bool:
        return not self._prune and self._in_scope(point)

    def _in_scope(self, point: str) -> bool:
        return mounted.concerns(point, self._scope)

    def _initial_mounts(self) -> list[str]:
        """The mount points to remember regardless of what the walk finds."""
        if self._known_mounts and not self._prune:
            own = self._known_mounts[0] or mounted.mount_point_of(self._root, self._ismount)
            return [own, *self._known_mounts[1:]]
        elsewhere = [p for p in self._known_mounts[1:] if not mounted.below(p, self._scope)]
        return [mounted.mount_point_of(self._root, self._ismount), *elsewhere]
