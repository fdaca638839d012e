"""The folder that pictures lie in while they are looked at, gone with the process that made it.

A process that is killed cannot remove its folder, so the next one does. Whose folder it is, a lock
on the folder itself tells, which the system frees when its owner ends, however that comes about.
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
    """A new folder, open to its owner only.

    Attributes
    ----------
    path : str
    """

    def __init__(self) -> None:
        self._folder, self._lock = _made()
        self.path = self._folder.name

    def close(self) -> None:
        """Remove it with what is in it."""
        self._folder.cleanup()
        if self._lock is not None:
            os.close(self._lock)


def remove_forgotten() -> int:
    """Remove such folders of this user whose processes have ended; how many there were."""
    count = 0
    with suppress(OSError), os.scandir(tempfile.gettempdir()) as entries:
        names = [each.path for each in entries if each.name.startswith(PREFIX)]
        for path in names:
            with _nobodys(path) as forgotten:
                if forgotten:
                    shutil.rmtree(path, ignore_errors=True)
                    count += 1
    return count


def _made() -> tuple[tempfile.TemporaryDirectory[str], int | None]:
    while True:
        folder = tempfile.TemporaryDirectory(prefix=PREFIX)
        lock = _locked(folder.name)
        with suppress(OSError):  # it was taken for forgotten before it was locked
            if lock is None or os.path.samestat(os.fstat(lock), os.stat(folder.name)):
                return folder, lock
        if lock is not None:
            os.close(lock)


@contextmanager
def _nobodys(path: str) -> Iterator[bool]:
    """True if it is a folder of this user that nobody has locked; nobody can in the meantime."""
    lock = None
    with suppress(OSError):
        found = os.lstat(path)
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid():
            lock = _locked(path)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            os.close(lock)


def _locked(path: str) -> int | None:
    """A descriptor that holds the lock of a folder; None if another has it, or there are none."""
    try:
        import fcntl
    except ImportError:  # Windows, which has no descriptors of folders either
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
