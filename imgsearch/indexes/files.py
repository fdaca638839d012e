"""Index files on disk: named by what they hold, sealed by a checksum, replaced atomically.

The name is `<library uuid>.<space key>.<revision>.faiss`. Behind the index itself stands a seal
of 64 bytes: a magic number, the length of the index, the xxh3-128 of all that comes before the
digest, and the catalog's token for the revision.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Callable
from typing import NamedTuple

import xxhash

from imgsearch.records import Revision

_SEAL = struct.Struct("<8sQ32s16s")
_MAGIC = b"imgsidx1"
_BLOCK = 1 << 22


class IndexName(NamedTuple):
    """What the name of an index file says."""

    library: str
    space: str
    revision: Revision

    def __str__(self) -> str:
        return f"{self.library}.{self.space}.{self.revision}.faiss"


def newest(folder: str, library: str, space: str) -> IndexName | None:
    """The file of this library and space with the highest revision."""
    names = [name for name in _listed(folder) if name[:2] == (library, space)]
    return max(names, key=lambda name: name.revision, default=None)


def strangers(folder: str, library: str) -> list[str]:
    """Index files in `folder` that were made for another library."""
    return [str(name) for name in _listed(folder) if name.library != library]


def _listed(folder: str) -> list[IndexName]:
    found = []
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for name in os.listdir(folder):
            parts = name.split(".")
            if len(parts) == 4 and parts[3] == "faiss" and parts[2].isdecimal():
                found.append(IndexName(parts[0], parts[1], int(parts[2])))
    return found


def write(folder: str, name: IndexName, token: str, save: Callable[[str], None]) -> None:
    """Write an index file so that after a crash either the old or the new one is there, whole.

    Parameters
    ----------
    save : callable
        Writes the index itself to the path that it is given.

    Raises
    ------
    OSError
        The file cannot be written (a full disk); nothing is left behind.
    """
    os.makedirs(folder, exist_ok=True)
    _sweep(folder)
    temporary = os.path.join(folder, f".{os.getpid()}.tmp")
    try:
        save(temporary)
        _seal(temporary, token)
        os.replace(temporary, os.path.join(folder, str(name)))
    except BaseException:
        with contextlib.suppress(OSError):
            os.remove(temporary)
        raise
    _sync_folder(folder)
    for old in _listed(folder):
        if old[:2] == name[:2] and old.revision != name.revision:
            with contextlib.suppress(OSError):
                os.remove(os.path.join(folder, str(old)))


def _sweep(folder: str) -> None:
    """Remove what killed writers left; the caller holds the writer lock."""
    for name in os.listdir(folder):
        if name.startswith(".") and name.endswith(".tmp"):
            with contextlib.suppress(OSError):
                os.remove(os.path.join(folder, name))


def unseal(path: str) -> str:
    """The token of a sealed index file.

    Raises
    ------
    ValueError
        The file is not whole: its length or its checksum is wrong.
    """
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END) - _SEAL.size
        if size < 0:
            raise ValueError("the file is too short")
        file.seek(size)
        magic, length, digest, token = _SEAL.unpack(file.read())
        if magic != _MAGIC or length != size:
            raise ValueError("the file has no valid seal")
        if _digest(path, size, token) != digest:
            raise ValueError("the checksum is wrong")
    return str(token.rstrip(b"\0").decode())


def _seal(path: str, token: str) -> None:
    size = os.path.getsize(path)
    padded = token.encode().ljust(16, b"\0")
    digest = _digest(path, size, padded)
    with open(path, "ab") as file:
        file.write(_SEAL.pack(_MAGIC, size, digest, padded))
        file.flush()
        os.fsync(file.fileno())


def _digest(path: str, size: int, token: bytes) -> bytes:
    state = xxhash.xxh3_128(token)
    with open(path, "rb") as file:
        while size > 0:
            block = file.read(min(_BLOCK, size))
            if not block:
                raise ValueError("the file is too short")
            state.update(block)
            size -= len(block)
    return state.hexdigest().encode()


def _sync_folder(folder: str) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
