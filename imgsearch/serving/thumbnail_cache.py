"""Small pictures, kept in the library folder by what the file holds, and made when asked for."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from imgsearch.records import Thumbnail
from imgsearch.writing import replace_file

FOLDER = "thumbnails"
_FRESH_SECONDS = 3600.0
"""A file that was used so lately need not be marked as used again."""
_SHARE = 0.9
"""Of the limit, what is left after old ones were removed."""


class ThumbnailCache:
    """Files in a folder of the library, of a bounded size together.

    The least used go first; their times of modification tell when they were last used.

    Parameters
    ----------
    most_bytes : int
        Of all files together; 0 keeps none.
    """

    def __init__(self, library: str, most_bytes: int) -> None:
        self._folder = os.path.join(library, FOLDER)
        self._most = most_bytes
        self._size: int | None = None
        self._lock = threading.Lock()

    def get(self, content_hash: str, side: int, form: str) -> bytes | None:
        """What was kept; None if nothing is."""
        path = self._path(content_hash, side, form)
        try:
            with open(path, "rb") as file:
                data = file.read()
                if time.time() - os.fstat(file.fileno()).st_mtime > _FRESH_SECONDS:
                    os.utime(path)
        except OSError:
            return None
        return data or None

    def put(self, made: Thumbnail, side: int, form: str) -> None:
        """Keep it, whole or not at all; a folder that cannot be written to keeps nothing."""
        if not self._most or not made.content_hash:
            return
        path = self._path(made.content_hash, side, form)
        with suppress(OSError):
            _write(path, made.data)
            with self._lock:
                if self._size is None:
                    self._size = sum(size for _, size, _ in self._files())
                else:
                    self._size += len(made.data)
                if self._size > self._most:
                    self._size = self._shrink()

    def _path(self, content_hash: str, side: int, form: str) -> str:
        name = f"{content_hash}-{side}.{form.lower()}"
        return os.path.join(self._folder, content_hash[:2], name)

    def _files(self) -> list[tuple[float, int, str]]:
        """When each was last used, its size and its path, oldest first."""
        found = []
        for folder, _, names in os.walk(self._folder):
            for name in names:
                path = os.path.join(folder, name)
                with suppress(OSError):
                    status = os.stat(path)
                    found.append((status.st_mtime, status.st_size, path))
        return sorted(found)

    def _shrink(self) -> int:
        files = self._files()
        size = sum(each for _, each, _ in files)
        for _, each, path in files:
            if size <= _SHARE * self._most:
                break
            with suppress(OSError):
                os.remove(path)
                size -= each
        return size


def _write(path: str, data: bytes) -> None:
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    replace_file(path, data, private=True, durable=False)


SIDES: Sequence[int] = (256, 512, 1024)
"""The sizes that are made: pixels of the longer side."""


def snapped(side: int) -> int:
    """The smallest size that is made and not smaller than asked for, or the largest."""
    return next((each for each in SIDES if each >= side), SIDES[-1])
