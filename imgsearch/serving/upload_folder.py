"""A temporary folder for uploaded pictures, which does not outlive its process for long.

A killed process cannot remove its folder, so the next process does. A lock on the folder shows that
its owner is alive; the operating system releases it when the owner ends for any reason.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

PREFIX = "imgsearch-upload-"


class UploadFolder:
    """A new folder that only its owner can access.

    Attributes
    ----------
    path : str
    """

    def __init__(self) -> None:
        self._folder, self._lock = _create()
        self.path = self._folder.name

    def close(self) -> None:
        """Remove the folder and its contents."""
        self._folder.cleanup()
        if self._lock is not None:
            os.close(self._lock)


def remove_forgotten() -> int:
    """Remove this user's folders whose processes have ended, and return their number."""
    count = 0
    with suppress(OSError), os.scandir(tempfile.gettempdir()) as entries:
        names = [each.path for each in entries if each.name.startswith(PREFIX)]
        for path in names:
            with _abandoned(path) as abandoned:
                if abandoned:
                    shutil.rmtree(path, ignore_errors=True)
                    count += 1
    return count


def _create() -> tuple[tempfile.TemporaryDirectory[str], int | None]:
    while True:
        folder = tempfile.TemporaryDirectory(prefix=PREFIX)
        lock = _lock(folder.name)
        with suppress(OSError):  # another process may have removed it before it was locked
            if lock is None or os.path.samestat(os.fstat(lock), os.stat(folder.name)):
                return folder, lock
        if lock is not None:
            os.close(lock)


@contextmanager
def _abandoned(path: str) -> Iterator[bool]:
    """True for an unlocked folder of this user, which stays locked within the context."""
    lock = None
    with suppress(OSError):
        status = os.lstat(path)
        if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid():
            lock = _lock(path)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            os.close(lock)


def _lock(path: str) -> int | None:
    """Lock a folder and return the descriptor; None if another process holds the lock.

    Also None on systems without such locks.
    """
    try:
        import fcntl
    except ImportError:  # Windows, which cannot open folders either
        return None
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
        else:
            return descriptor
    return None
