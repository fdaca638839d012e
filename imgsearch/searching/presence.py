"""Checks which pictures of a result are still on disk.

A search reads the library only, and files may have gone since the last run of the indexer. So the
few pictures that are shown are looked up. Pictures count as gone as in a scan: pictures of a root
that is missing, empty or on an unmounted disk stay. A dead network disk can block a process for
minutes, so each root is examined in a thread of its own, and one that takes too long counts as
unmounted.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from imgsearch.records import Location, RootRecord
from imgsearch.sources import mounts

ANSWER_TIMEOUT_SECONDS = 1.0
"""Limit for all roots together."""
_KEPT = "Its pictures are listed as they were last indexed."


@dataclass(slots=True)
class Presence:
    """The pictures of some roots that are gone from disk.

    Attributes
    ----------
    ids : set of int
        Pictures that are gone.
    notes : list of str
        Roots that could not be examined, one sentence each.
    """

    roots: Sequence[RootRecord]
    ismount: Callable[[str], bool] = os.path.ismount
    ids: set[int] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)

    def look(self, files: Mapping[int, Location]) -> set[int]:
        """The ids of those files that are gone; they are added to `ids`."""
        by_root: dict[str, dict[int, Location]] = {}
        for image_id, file in files.items():
            by_root.setdefault(file.root, {})[image_id] = file
        looks = [
            _Look(root, by_root[root.path], self.ismount)
            for root in self.roots
            if root.path in by_root
        ]
        until = time.monotonic() + ANSWER_TIMEOUT_SECONDS
        gone: set[int] = set()
        for each in looks:
            each.wait(until)
            gone |= each.gone
            self.notes += [note for note in each.notes if note not in self.notes]
        self.ids |= gone
        return gone


class _Look:
    """An examination of some pictures of one root."""

    _blocked: dict[str, threading.Thread] = {}  # noqa: RUF012 - roots that have not answered
    """Shared, so that searches of a server do not each leave a thread behind."""

    def __init__(
        self, root: RootRecord, files: Mapping[int, Location], ismount: Callable[[str], bool]
    ) -> None:
        self._root, self._files, self._ismount = root, files, ismount
        self._found: tuple[set[int], list[str]] | None = None
        self._thread = self._blocked.get(root.path)
        if self._thread is None or not self._thread.is_alive():
            self._blocked.pop(root.path, None)
            self._thread = threading.Thread(target=self._examine, daemon=True)
            self._thread.start()

    def wait(self, until: float) -> None:
        """Wait for the end, up to a time of the monotonic clock."""
        assert self._thread is not None
        if self._root.path not in self._blocked:
            self._thread.join(max(0.0, until - time.monotonic()))
        if self._found is None:
            self._blocked[self._root.path] = self._thread

    @property
    def gone(self) -> set[int]:
        return set() if self._found is None else self._found[0]

    @property
    def notes(self) -> list[str]:
        if self._found is None:
            return [f"{self._root.path} does not answer. {_KEPT}"]
        return self._found[1]

    def _examine(self) -> None:
        root = self._root
        if reason := absence(root, self._ismount):
            self._found = set(), [f"{root.path} {reason}. {_KEPT}"]
            return
        points = mounts.unmounted(root.path, root.mounts[1:], self._ismount)
        unmounted = [each.path for each in points]
        gone, notes = set(), []
        for image_id, file in self._files.items():
            point = next((p for p in unmounted if mounts.below(file.path, p)), None)
            if point is not None:
                notes.append(f"{root.path}/{point} looks unmounted. {_KEPT}")
            elif _is_gone(file.absolute):
                gone.add(image_id)
        if gone and absence(root, self._ismount):  # the disk was pulled out meanwhile
            gone = set()
        self._found = gone, notes


def absence(root: RootRecord, ismount: Callable[[str], bool] = os.path.ismount) -> str | None:
    """The reason why the files of a root cannot be examined, or None."""
    try:
        with os.scandir(root.path) as entries:
            if next(entries, None) is None:
                return "is empty"
    except OSError:
        return "is not there"
    if root.mounts and root.mounts[0]:
        return mounts.root_moved(root.path, root.mounts[0], ismount)
    return None


def _is_gone(path: str) -> bool:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False
