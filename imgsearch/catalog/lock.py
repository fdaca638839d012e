"""The writer lock: one writer at a time per library."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from filelock import FileLock, Timeout

from imgsearch.catalog.sqlite_file import file_identity
from imgsearch.errors import CatalogError, LibraryBusy
from imgsearch.writing import private_mode, private_opener

LOCK_FILE = "writer.lock"
HOLDER_FILE = "writer.json"
LOCK_TIMEOUT_SECONDS = 3.0
"""A search may hold the lock for a moment, to write an index file."""


@contextmanager
def writer_lock(folder: str, wait_s: float = 0.0) -> Iterator[Callable[[object], None]]:
    """Hold the library's writer lock; the system releases it when the process ends for any reason.

    Yields a function that raises `LibraryBusy` if the lock file has been removed or replaced since:
    then the lock no longer excludes other processes, and one may be writing.

    Raises
    ------
    LibraryBusy
        Another process has held it for longer than `wait_s`; the message says which.
    CatalogError
        The folder is not writable.
    """
    path = os.path.join(folder, LOCK_FILE)
    lock = FileLock(path, mode=private_mode(path))
    try:
        lock.acquire(timeout=wait_s)
        held = file_identity(path)
    except Timeout:
        raise LibraryBusy(
            f"another process is writing to this library: {_holder(folder)}",
            "Wait until it has finished, or stop it, and run the command again. "
            "Searching works in the meantime.",
        ) from None
    except OSError as error:
        raise CatalogError(
            f"the library folder {folder} cannot be written to: {error.strerror}",
            "Check its permissions, or choose another library with --library DIR.",
        ) from error

    def require_held(transaction: object) -> None:
        if file_identity(path) != held:
            raise LibraryBusy(
                f"the lock of this library, {path}, was removed or replaced while it was held",
                "Another process may be writing: see that there is only one, and run the command"
                " again. Everything committed so far is kept.",
            )

    try:
        _sign(folder)
        yield require_held
    finally:
        lock.release()


def _sign(folder: str) -> None:
    holder = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now().isoformat(" ", "seconds"),
    }
    path = os.path.join(folder, HOLDER_FILE)
    with open(path, "w", encoding="utf-8", opener=private_opener) as file:
        json.dump(holder, file)


def _holder(folder: str) -> str:
    try:
        with open(os.path.join(folder, HOLDER_FILE), encoding="utf-8") as file:
            holder = json.load(file)
        return f"process {holder['pid']} on {holder['host']}, since {holder['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "the process is unknown"
