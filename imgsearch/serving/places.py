"""The places below which a client may look for folders to add to a library.

Folders are opened one below the other without following links, so that a client never learns what
lies outside, whatever changes meanwhile. Hidden folders are neither listed nor opened.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from imgsearch.errors import QueryError
from imgsearch.sources.formats import is_picture_name
from imgsearch.sources.guarded_files import os_reason

MAX_ENTRIES = 20_000
"""Entries of a folder that are looked at."""
MAX_FOLDERS = 2000
"""Folders in a listing."""
MAX_PATH_CHARACTERS = 4000
NONE = "none"
_FLAGS = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)


@dataclass(frozen=True, slots=True)
class Listing:
    """The folders in a folder.

    Attributes
    ----------
    path : str
        Absolute; "" for the list of several places.
    parent : str or None
        Path of the listing above it; None at the top.
    folders : sequence of str
        Names in it, sorted; whole paths where `path` is "".
    pictures : int
        Files in it that are called like pictures, subfolders aside.
    complete : bool
        False for a folder with more entries than are looked at.
    """

    path: str
    parent: str | None
    folders: Sequence[str]
    pictures: int = 0
    complete: bool = True


class Places:
    """Places on the disks of the server.

    Parameters
    ----------
    setting : str
        Paths with `os.pathsep` between; `~` stands for the home folder. "none" for none.
    """

    def __init__(self, setting: str) -> None:
        listed = "" if setting.strip() == NONE else setting
        named = [each.strip() for each in listed.split(os.pathsep) if each.strip()]
        self.paths = tuple(os.path.realpath(os.path.expanduser(each)) for each in named)

    def listing(self, path: str) -> Listing:
        """The folders in a folder; of "", the place, or the places if there are several.

        Raises
        ------
        QueryError
            The folder is outside all places, or cannot be read.
        """
        if not path and len(self.paths) > 1:
            return Listing("", None, self.paths)
        path = path or self.paths[0] if self.paths else path
        place, parts = self._place_of(path)
        folder = _opened(place, parts)
        try:
            folders, pictures, complete = _contents(folder, path)
        finally:
            os.close(folder)
        top = None if len(self.paths) == 1 else ""
        parent = os.path.join(place, *parts[:-1]) if parts else top
        return Listing(os.path.join(place, *parts), parent, folders, pictures, complete)

    def require(self, path: str) -> str:
        """The path of a folder that may be added; raises `QueryError` for any other."""
        place, parts = self._place_of(path)
        os.close(_opened(place, parts))
        return os.path.join(place, *parts)

    def _place_of(self, path: str) -> tuple[str, list[str]]:
        """The place that a path is in, and the names of the folders below it."""
        if not self.paths:
            raise QueryError(
                "folders cannot be added here",
                "Add them in a terminal: imgsearch index FOLDER. Or set folder_places.",
            )
        plain = os.path.normpath(path)
        if (
            "\0" not in path
            and _is_text(path)
            and len(path) <= MAX_PATH_CHARACTERS
            and os.path.isabs(path)
        ):
            for place in sorted(self.paths, key=len, reverse=True):
                below = os.path.relpath(plain, place)
                parts = [] if below == os.curdir else below.split(os.sep)
                if not any(part.startswith(".") for part in parts):
                    return place, parts
        raise QueryError(
            f"folders can be added below {' and '.join(self.paths)} only, and no hidden ones",
            "Add others in a terminal: imgsearch index FOLDER. Or set folder_places.",
        )


def _opened(place: str, parts: Sequence[str]) -> int:
    """A descriptor of a folder; the caller closes it."""
    where = place
    try:
        folder = os.open(place, _FLAGS)
        for part in parts:
            where = os.path.join(where, part)
            above = folder
            try:
                folder = os.open(part, _FLAGS | os.O_NOFOLLOW, dir_fd=above)
            finally:
                os.close(above)
    except OSError as error:
        if os.path.islink(where):
            raise QueryError(f"{where} is a link", "Choose the folder that it leads to.") from None
        raise QueryError(
            f"{where} cannot be opened: {os_reason(error)}", "Choose another folder."
        ) from None
    return folder


def _contents(folder: int, path: str) -> tuple[list[str], int, bool]:
    """Names of the folders in a folder, number of its pictures, and whether that is all."""
    names: list[str] = []
    pictures, seen = 0, 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                seen += 1
                if seen > MAX_ENTRIES:
                    break
                if entry.name.startswith(".") or not _is_text(entry.name):
                    continue
                with suppress(OSError):
                    if entry.is_dir(follow_symlinks=False):
                        names.append(entry.name)
                    elif is_picture_name(entry.name):
                        pictures += 1
    except OSError as error:
        raise QueryError(
            f"{path} cannot be read: {os_reason(error)}", "Choose another folder."
        ) from None
    complete = seen <= MAX_ENTRIES and len(names) <= MAX_FOLDERS
    return sorted(names, key=str.casefold)[:MAX_FOLDERS], pictures, complete


def _is_text(name: str) -> bool:
    """True for a name that JSON can carry there and back."""
    return name.isascii() or not any("\ud800" <= char <= "\udfff" for char in name)
