"""Which roots to scan, and which folders of them, for the paths that a user names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from imgsearch.errors import SourceError
from imgsearch.records import RootRecord

Planned = tuple[RootRecord, str]
"""A root, and the folder of it to scan; "" is all of it."""


@dataclass(frozen=True, slots=True)
class IndexRequest:
    """What to index and how.

    Attributes
    ----------
    paths : sequence of str
        Folders; empty means all folders of the library.
    exclude : sequence of str or None
        Glob patterns to leave out; None keeps what the folder was last indexed with.
    hidden : bool or None
        Take hidden files in; None keeps what the folder was last indexed with.
    prune : bool
        Accept that pictures are absent even where a disk looks unmounted or a folder is empty.
    """

    paths: Sequence[str] = ()
    exclude: Sequence[str] | None = None
    hidden: bool | None = None
    prune: bool = False


def plan(request: IndexRequest, roots: Sequence[RootRecord], library: str) -> list[Planned]:
    """The roots to scan for a request.

    Parameters
    ----------
    roots : sequence of RootRecord
        What the library has.
    library : str
        Folder of the library: it must not lie where pictures are.

    Raises
    ------
    SourceError
        A path is no folder, or there is none at all.
    """
    if not request.paths and not roots:
        raise SourceError(
            "this library has no folders yet", "Name one: imgsearch index FOLDER-OF-PICTURES"
        )
    planned: dict[tuple[str, str], Planned] = {}
    for path in request.paths or [root.path for root in roots]:
        root, scope = _root_of(path, roots)
        if request.exclude is not None:
            root = replace(root, exclude=tuple(request.exclude))
        if request.hidden is not None:
            root = replace(root, hidden=request.hidden)
        _require_apart(library, root)
        planned[root.path, scope] = root, scope
    return _outermost(list(planned.values()))


def _root_of(path: str, roots: Sequence[RootRecord]) -> tuple[RootRecord, str]:
    """The root that a path belongs to, and the folder below it; a new root if there is none."""
    if not path:
        raise SourceError("one of the paths is empty", "Name a folder of pictures.")
    real = os.path.realpath(os.path.expanduser(path))
    for root in roots:
        if real == root.path:
            return root, ""
    if not os.path.isdir(real):
        if os.path.exists(real):
            raise SourceError(f"{path} is a file, not a folder", "Name the folder that it is in.")
        raise SourceError(f"{path} is not there", "Is the name right, and is its disk mounted?")
    for root in roots:
        if _inside(real, root.path):
            return root, os.path.relpath(real, root.path).replace(os.sep, "/")
    return _around(real, [root for root in roots if _inside(root.path, real)]), ""


def _around(path: str, inner: Sequence[RootRecord]) -> RootRecord:
    """A new root that takes in others, and leaves out what they leave out."""
    exclude = [
        _below(os.path.relpath(root.path, path).replace(os.sep, "/"), pattern)
        for root in inner
        for pattern in root.exclude
    ]
    return RootRecord(path, tuple(exclude), any(root.hidden for root in inner))


def _below(folder: str, pattern: str) -> str:
    """A pattern in the manner of .gitignore, as the folder above has to say it."""
    sign, core = ("!", pattern[1:]) if pattern.startswith("!") else ("", pattern)
    anywhere = "" if "/" in core.rstrip("/") else "**/"
    return f"{sign}/{folder}/{anywhere}{core.lstrip('/')}"


def _outermost(planned: list[tuple[RootRecord, str]]) -> list[tuple[RootRecord, str]]:
    """Without folders that lie inside another one of the list."""

    def full(each: tuple[RootRecord, str]) -> str:
        return os.path.join(each[0].path, each[1]) if each[1] else each[0].path

    paths = [full(each) for each in planned]
    return [
        each
        for each, path in zip(planned, paths, strict=True)
        if not any(_inside(path, other) for other in paths)
    ]


def _inside(path: str, folder: str) -> bool:
    return path != folder and os.path.commonpath([path, folder]) == folder


def _require_apart(library: str, root: RootRecord) -> None:
    """Nothing is written where pictures are looked for. A hidden folder is not looked into."""
    real = os.path.realpath(library)
    below = os.path.relpath(real, root.path).split(os.sep)
    hidden = not root.hidden and any(part.startswith(".") for part in below)
    if real == root.path or (_inside(real, root.path) and not hidden):
        raise SourceError(
            f"the library folder {library} lies inside {root.path}, where nothing may be written",
            "Name a smaller folder of pictures, or keep the library elsewhere with --library DIR.",
        )
