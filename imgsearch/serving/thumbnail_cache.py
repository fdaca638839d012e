"""Thumbnails stored in the library folder under the content hash of their picture."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from imgsearch.records import Thumbnail
from imgsearch.writing import private_folder, replace_file

FOLDER = "thumbnails"
_FRESH_SECONDS = 3600.0
"""Minimum age of the time of use before it is updated."""
_SHRINK_SHARE = 0.9
"""Share of the limit that remains after old files are removed."""


class ThumbnailCache:
    """Thumbnail files in a folder of the library, with a limit on their total size.

    The least recently used files are removed first; modification times record their last use.

    Parameters
    ----------
    max_bytes : int
        Total size of all files; 0 disables the cache.
    """

    def __init__(self, library: str, max_bytes: int) -> None:
        self._folder = os.path.join(library, FOLDER)
        self._max_bytes = max_bytes
        self._size: int | None = None
        self._lock = threading.Lock()

    def get(self, content_hash: str, side: int, form: str) -> bytes | None:
        """The data of a cached thumbnail; None if it is not cached."""
        path = self._path(content_hash, side, form)
        try:
            with open(path, "rb") as file:
                data = file.read()
                if time.time() - os.fstat(file.fileno()).st_mtime > _FRESH_SECONDS:
                    os.utime(path)
        except OSError:
            return None
        return data or None

    def put(self, thumbnail: Thumbnail, side: int, form: str) -> None:
        """Store a thumbnail atomically; does nothing if the folder is not writable."""
        if not self._max_bytes or not thumbnail.content_hash:
            return
        path = self._path(thumbnail.content_hash, side, form)
        with suppress(OSError):
            _write(path, thumbnail.data)
            with self._lock:
                if self._size is None:
                    self._size = sum(size for _, size, _ in self._files())
                else:
                    self._size += len(thumbnail.data)
                if self._size > self._max_bytes:
                    self._size = self._shrink()

    def _path(self, content_hash: str, side: int, form: str) -> str:
        name = f"{content_hash}-{side}.{form.lower()}"
        return os.path.join(self._folder, content_hash[:2], name)

    def _files(self) -> list[tuple[float, int, str]]:
        """Time of last use, size and path of each file, oldest first."""
        files = []
        for folder, _, names in os.walk(self._folder):
            for name in names:
                path = os.path.join(folder, name)
                with suppress(OSError):
                    status = os.stat(path)
                    files.append((status.st_mtime, status.st_size, path))
        return sorted(files)

    def _shrink(self) -> int:
        files = self._files()
        size = sum(each for _, each, _ in files)
        for _, each, path in files:
            if size <= _SHRINK_SHARE * self._max_bytes:
                break
            with suppress(OSError):
                os.remove(path)
                size -= each
        return size


def _write(path: str, data: bytes) -> None:
    private_folder(os.path.dirname(path))
    replace_file(path, data, private=True, durable=False)


SIDES: Sequence[int] = (256, 384, 512, 768, 1024)
"""Supported sizes: pixels of the longer side."""


def snapped(side: int) -> int:
    """The smallest supported size of at least `side`, or the largest."""
    return next((each for each in SIDES if each >= side), SIDES[-1])
