"""Files that are written whole or not at all, by one rule.

The data goes into a new file in the same folder, under a hidden name that ends with ".part" and
that no scan takes for a picture. Only its owner may read it, and it is on the disk before it gets
its name. Where anything fails it is removed, and whatever had the name before is untouched.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from typing import IO


def unfinished(folder: str, fill: Callable[[IO[bytes]], object], durable: bool = True) -> str:
    """Write a file that has no name of its own yet, and return its path.

    Parameters
    ----------
    fill : callable
        Writes the data.
    durable : bool
        False where a file that is lost in a power failure is no loss: it is not waited for.

    Raises
    ------
    OSError
        It cannot be written; nothing is left behind.
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
    """Write a file in place of what has the name. A link stays a link.

    Parameters
    ----------
    private : bool
        Only its owner may read it; else everybody whom the umask leaves.

    Raises
    ------
    OSError
        It cannot be written; nothing is left behind.
    """
    real = os.path.realpath(target)
    name = unfinished(os.path.dirname(real), lambda file: file.write(data), durable)
    try:
        if not private:
            os.chmod(name, 0o666 & ~_umask())
        os.replace(name, real)
    except BaseException:
        discard(name)
        raise


def discard(name: str) -> None:
    """Remove an unfinished file, if it is still there."""
    with suppress(OSError):
        os.unlink(name)


def _umask() -> int:
    """What a plain open would have left out of the permissions."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
