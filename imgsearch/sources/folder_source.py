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
from typing import TYPE_CHECKING

from imgsearch.errors import SourceError
from imgsearch.ports import Unchanged, nothing_known
from imgsearch.records import ImageFile, Known, Skipped, Unvisited
from imgsearch.sources import mounts as mounted
from imgsearch.sources.guarded_files import digest_file, os_reason
from imgsearch.sources.tree_walk import Descent, Found

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

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
        self._is_mount = ismount

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

    def scan(self, unchanged: Unchanged = nothing_known) -> Iterator[Found]:
        """Every picture file once, and every folder that could not be looked into.

        Files that are `unchanged` are left out; it is asked in the order of paths, but for
        what lies behind links.
        """
        refusal = self._refusal()
        if refusal:
            yield Unvisited("", refusal)
            return
        yield from self._moved()
        points = [point for point in self._remembered[1:] if self._guards(point)]
        gone = list(mounted.unmounted(self._root, points, self.ismount))
        yield from gone
        self._mounts = self._kept()
        yield from Descent(self, unchanged).run()
        # A disk that was pulled out while we walked looks just like an empty folder.
        told = {unvisited.path for unvisited in gone}
        here = [p for p in self._mounts[1:] if self._concerned(p) and p not in told]
        yield from mounted.unmounted(self._root, here, self.ismount)
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
            reason = mounted.root_moved(self._root, self._remembered[0], self.ismount)
            if reason:
                yield Unvisited("", reason)

    def _guards(self, point: str) -> bool:
        return not self._prune and self._concerned(point)

    def _concerned(self, point: str) -> bool:
        return mounted.concerns(point, self._scope)

    def _kept(self) -> list[str]:
        """The mount points that are remembered whatever the walk finds."""
        if self._remembered and not self._prune:
            own = self._remembered[0] or mounted.mount_point_of(self._root, self.ismount)
            return [own, *self._remembered[1:]]
        elsewhere = [p for p in self._remembered[1:] if not mounted.below(p, self._scope)]
        return [mounted.mount_point_of(self._root, self.ismount), *elsewhere]

    def ismount(self, path: str) -> bool:
        return self._is_mount(path)

    def note_mount(self, path: str) -> None:
        if path not in self._mounts[1:]:
            self._mounts.append(path)

    def leaves_out(self, name: str, prefix: str, folder: bool) -> bool:
        if name.startswith(".") and (not self._hidden or name.startswith(_RESOURCE_FORK)):
            return True
        if name.lower() in _NEVER:
            return True
        if self._excluded is None:
            return False
        return self._excluded.match_file(f"{prefix}{name}/" if folder else prefix + name)


def _patterns(exclude: Sequence[str]) -> GitIgnoreSpec | None:
    if not exclude:
        return None
    from pathspec import GitIgnoreSpec

    try:
        return GitIgnoreSpec.from_lines(exclude)
    except ValueError as error:
        raise SourceError(
            f"an exclude pattern cannot be understood: {error}",
            "Patterns are written as in a .gitignore file, for example: --exclude 'drafts/'",
        ) from error
