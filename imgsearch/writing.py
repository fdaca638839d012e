"""Writes files atomically: completely or not at all.

The data goes into a new file in the same folder, with a hidden name that ends with ".part", which
scans ignore. Only its owner may read it, and it is on the disk before it gets its final name. If
anything fails it is removed, and an existing file of that name stays unchanged.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from typing import IO


def write_part(folder: str, fill: Callable[[IO[bytes]], object], durable: bool = True) -> str:
    """Write a file that does not have its final name yet, and return its path.

    Parameters
    ----------
    fill : callable
        Writes the data.
    durable : bool
        Wait until the data is on the disk; False if losing it in a power failure is acceptable.

    Raises
    ------
    OSError
        The file cannot be written; nothing is left behind.
    """
    number, name = tempfile.mkstemp(prefix=".imgsearch-", suffix=".part", dir=folder)
    try:
        with os.fdopen(number, "wb") as file:
            fill(file)
            file.flush()
            if durable:
                os.fsync(file.fileno())
    except BaseException:
        discard(name)
        raise
    return name


def replace_file(target: str, data: bytes, *, private: bool = False, durable: bool = True) -> None:
    """Create or replace a file. A link stays a link.

    Parameters
    ----------
    private : bool
        Only the owner may read it; otherwise the umask decides.

    Raises
    ------
    OSError
        The file cannot be written; nothing is left behind.
    """
    real = os.path.realpath(target)
    name = write_part(os.path.dirname(real), lambda file: file.write(data), durable)
    try:
        if not private:
            os.chmod(name, 0o666 & ~_umask())
        os.replace(name, real)
    except BaseException:
        discard(name)
        raise


def make_durable(path: str) -> None:
    """Wait until a file that is complete, and its name, are on the disk."""
    _sync(path, os.O_RDWR)
    sync_folder(os.path.dirname(path) or os.curdir)


def sync_folder(folder: str) -> None:
    """Wait until the names in a folder are on the disk."""
    if os.name == "posix":  # Windows cannot open a folder
        _sync(folder, os.O_RDONLY)


def _sync(path: str, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def discard(name: str) -> None:
    """Remove a part file if it still exists."""
    with suppress(OSError):
        os.unlink(name)


def _umask() -> int:
    """The umask of this process."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
