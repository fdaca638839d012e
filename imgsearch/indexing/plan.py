"""Plans a run: the roots and subfolders to scan for the paths that a user gives."""

from __future__ import annotations

import os
import re
import shlex
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from imgsearch.errors import QueryError, SourceError
from imgsearch.records import RootRecord, Unvisited
from imgsearch.settings import OCR_MODES
from imgsearch.sources.excludes import Excludes, added, is_excluded, understood
from imgsearch.sources.folder_source import FilesystemSource

Planned = tuple[RootRecord, str]
"""A root and the folder below it to scan; "" for the whole root."""


@dataclass(frozen=True, slots=True)
class IndexRequest:
    """Folders and options of a run of the indexer.

    Attributes
    ----------
    paths : sequence of str
        Folders; empty means all folders of the library.
    exclude : sequence of str or None
        Glob patterns to exclude, added to those of earlier runs.
    no_exclude : bool
        Discard the patterns of earlier runs, so that exactly `exclude` holds.
    hidden : bool or None
        Include hidden files; None keeps the setting of the last run.
    prune : bool
        Remove missing pictures even if a disk looks unmounted or a folder is empty.
    ocr : bool or "auto", "on", "off" or None
        Read texts in all pictures, or with "auto" in those where text is seen at a glance; None
        keeps the library's choice.
    verify : bool
        Also hash the files that seem unchanged, and read old metadata again.
    measure : bool
        Measure the pictures that an older version has not measured.
    add : bool
        Add new folders to the library. If False, they are refused, even behind links.
    """

    paths: Sequence[str] = ()
    exclude: Sequence[str] | None = None
    hidden: bool | None = None
    prune: bool = False
    ocr: bool | str | None = None
    verify: bool = False
    add: bool = True
    no_exclude: bool = False
    measure: bool = False

    @property
    def ocr_mode(self) -> str:
        """One of `OCR_MODES`; "" keeps the library's choice.

        Raises
        ------
        QueryError
            `ocr` is not one of these values.
        """
        mode = {None: "", True: "on", False: "off"}.get(self.ocr, self.ocr)  # type: ignore[arg-type]
        if mode and mode not in OCR_MODES:
            raise QueryError(f"unknown value of ocr: {mode}", f"Use one of {', '.join(OCR_MODES)}.")
        return str(mode)

    @property
    def changes_roots(self) -> bool:
        """True if the request has options that apply to a whole folder of the library."""
        return bool(self.exclude) or self.no_exclude or self.hidden is not None


NEW_FOLDER = "Add new folders in a terminal: imgsearch index FOLDER"


def plan(request: IndexRequest, roots: Sequence[RootRecord], library: str) -> list[Planned]:
    """The roots to scan for a request.

    Parameters
    ----------
    roots : sequence of RootRecord
        The roots of the library.
    library : str
        Folder of the library, which must not be inside a root.

    Raises
    ------
    SourceError
        A path is not a folder, an exclude pattern could match nothing, or there is nothing to
        scan.
    """
    if not request.paths and not roots:
        raise SourceError(
            "this library has no folders yet", "Give one: imgsearch index FOLDER-OF-PICTURES"
        )
    planned: dict[tuple[str, str], Planned] = {}
    for path in request.paths or [root.path for root in roots]:
        root, scope = _root_of(path, roots, request)
        if scope and request.changes_roots:
            raise SourceError(
                f"{path} is part of {root.path}, and exclusions apply to the whole folder",
                f"Give the whole folder: imgsearch index {root.path} --exclude ...",
            )
        if request.hidden is not None:
            root = replace(root, hidden=request.hidden)
        _require_apart(library, root)
        planned[root.path, scope] = root, scope
    return _with_excludes(_outermost(list(planned.values())), request)


def count_files(planned: Sequence[Planned], max_seconds: float) -> int:
    """Number of pictures and faulty files in folders, as far as counted in a few seconds."""
    end = time.monotonic() + max_seconds
    count = 0
    roots = with_planned((), planned)
    for root, scope in planned:
        source = FilesystemSource(
            root.path, scope, exclude=root.exclude, hidden=root.hidden, roots=roots
        )
        for _ in source.scan():
            count += 1
            if time.monotonic() > end:
                return count
    return count


def with_planned(roots: Sequence[RootRecord], planned: Sequence[Planned]) -> list[RootRecord]:
    """The roots of the library as they are after a run: with the options of those planned."""
    return list({root.path: root for root in (*roots, *(root for root, _ in planned))}.values())


def without_empty(
    planned: Sequence[Planned], roots: Sequence[RootRecord], unused: Collection[str]
) -> tuple[list[Planned], list[str]]:
    """The folders to scan, and a sentence about each one left out because it never had a picture.

    Parameters
    ----------
    roots : sequence of RootRecord
        The roots of the library.
    unused : collection of str
        The roots that have never had a picture.

    Raises
    ------
    SourceError
        No folder is left.
    """
    known = {root.path for root in roots} - set(unused)
    kept: list[Planned] = []
    empty: list[tuple[str, str]] = []
    for root, scope in planned:
        used = root.path in known or any(root.takes_in(path) for path in known)
        reason = None if used else _emptiness(root, with_planned(roots, planned))
        if reason is None:
            kept.append((root, scope))
        elif root.path in unused:
            empty.append((reason, f"To take it out of the library: {_forget(root.path)}"))
        else:
            empty.append((reason, "Check the name. A folder joins the library with its pictures."))
    if empty and not kept:
        raise SourceError("; ".join(reason for reason, _ in empty), empty[0][1])
    return kept, [f"{reason}. {hint}" for reason, hint in empty]


def _forget(path: str) -> str:
    return f"imgsearch roots --forget {shlex.quote(path)}"


def _emptiness(root: RootRecord, roots: Sequence[RootRecord]) -> str | None:
    """A sentence about a folder in which a scan meets no picture; None if it meets one."""
    source = FilesystemSource(
        root.path, exclude=root.exclude, hidden=root.hidden, prune=True, roots=roots
    )
    unvisited: list[Unvisited] = []
    for item in source.scan():
        if not isinstance(item, Unvisited):
            return None
        unvisited.append(item)
    if any(not folder.path for folder in unvisited):
        return f"{root.path} {unvisited[0].reason}"
    reason = f"there are no pictures in {root.path}"
    if root.exclude:
        reason += f" besides what is excluded ({' '.join(root.exclude)})"
    if unvisited:
        reason += f", as far as it can be read ({unvisited[0].path}: {unvisited[0].reason})"
    return reason


def _with_excludes(planned: Sequence[Planned], request: IndexRequest) -> list[Planned]:
    """The roots with the patterns that hold for this run."""
    patterns = understood(request.exclude or (), [root.path for root, _ in planned])
    return [
        (_with_patterns(root, patterns[root.path], request.no_exclude), scope)
        for root, scope in planned
    ]


def _with_patterns(root: RootRecord, patterns: Sequence[str], only: bool) -> RootRecord:
    return replace(root, exclude=added(() if only else root.exclude, patterns))


def _root_of(path: str, roots: Sequence[RootRecord], request: IndexRequest) -> Planned:
    """The root of a path and the folder below it; a new root if no root contains the path."""
    if not path:
        raise SourceError("one of the paths is empty", "Give a folder of pictures.")
    known = known_root(path, roots)
    if known is not None:
        return known, ""
    real = os.path.realpath(os.path.expanduser(path))
    if not os.path.isdir(real):
        if os.path.exists(real):
            raise SourceError(
                f"{path} is a file, not a folder", "Give the folder that contains it."
            )
        raise SourceError(f"{path} does not exist", "Check the name, and that its disk is mounted.")
    for root in roots:
        if root.takes_in(real):
            scope = os.path.relpath(real, root.path).replace(os.sep, "/")
            _require_not_excluded(path, root, scope)
            return root, scope
    if not request.add:
        raise SourceError(f"{path} is not in a folder of this library", NEW_FOLDER)
    return _around(real, roots, request.prune), ""


def _require_not_excluded(path: str, root: RootRecord, scope: str) -> None:
    if is_excluded(Excludes(root.exclude), scope, folder=True):
        raise SourceError(
            f"{path} is excluded from {root.path} by {' '.join(root.exclude)}",
            f"To include it: imgsearch index {root.path} --no-exclude",
        )


def known_root(path: str, roots: Sequence[RootRecord]) -> RootRecord | None:
    """The root at a path, by its exact path or else by the resolved one.

    A root that was moved and replaced by a link is still the same root.
    """
    plain = os.path.abspath(os.path.expanduser(path))
    real = os.path.realpath(plain)
    named = [root for root in roots if root.path == plain]
    return next(iter([*named, *(r for r in roots if os.path.realpath(r.path) == real)]), None)


def _around(path: str, roots: Sequence[RootRecord], prune: bool) -> RootRecord:
    """A new root, which absorbs the roots below it with their mount points and exclusions."""
    inner = [root for root in roots if RootRecord(path).takes_in(root.path)]
    exclude: list[str] = []
    mounts = [""]  # the first scan records where the new root itself is mounted
    for root in inner:
        if not prune:
            _require_there(root)
        below = os.path.relpath(root.path, path).replace(os.sep, "/")
        exclude += [_below(below, pattern) for pattern in root.exclude]
        mounts += [below] if root.mounts[:1] == (root.path,) else []
        mounts += [f"{below}/{mount}" for mount in root.mounts[1:]]
    hidden = any(root.hidden for root in inner)
    return RootRecord(path, tuple(exclude), hidden, tuple(mounts if inner else ()))


def _require_there(root: RootRecord) -> None:
    try:
        there = bool(os.listdir(root.path))
    except OSError:
        there = False
    if not there:
        raise SourceError(
            f"{root.path} is a folder of this library, but it is empty or missing",
            f"Mount its disk, or remove it: imgsearch roots --forget {root.path}",
        )


def _below(folder: str, pattern: str) -> str:
    """A gitignore-style pattern of a folder, rewritten for the folder above it."""
    sign, core = ("!", pattern[1:]) if pattern.startswith("!") else ("", pattern)
    folder = re.sub(r"([\\*?\[\]])", r"\\\1", folder)
    anywhere = "" if "/" in core.rstrip("/") else "**/"
    return f"{sign}/{folder}/{anywhere}{core.lstrip('/')}"


def _outermost(planned: list[tuple[RootRecord, str]]) -> list[tuple[RootRecord, str]]:
    """Drop folders inside another folder of the list."""

    def full(each: tuple[RootRecord, str]) -> str:
        return os.path.join(each[0].path, each[1]) if each[1] else each[0].path

    def within(path: str, other: Planned) -> bool:
        return _inside(path, full(other)) and other[0].takes_in(path)

    return [each for each in planned if not any(within(full(each), other) for other in planned)]


def _inside(path: str, folder: str) -> bool:
    return path != folder and os.path.commonpath([path, folder]) == folder


def _require_apart(library: str, root: RootRecord) -> None:
    """Refuse a library inside a scanned folder; hidden folders are not scanned."""
    real = os.path.realpath(library)
    below = os.path.relpath(real, root.path).split(os.sep)
    hidden = not root.hidden and any(part.startswith(".") for part in below)
    if real == root.path or (_inside(real, root.path) and not hidden):
        raise SourceError(
            f"the library folder {library} is inside {root.path}, where nothing may be written",
            "Give a smaller folder of pictures, or use another library: --library DIR",
        )
