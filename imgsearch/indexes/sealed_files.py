"""Index files on disk: named by what they hold, sealed, replaced atomically.

The name is `<library uuid>.<space key>.<revision>.faiss`. Behind the body stand a header (JSON), an
xxh3-64 of each block of the body, and a seal of 48 bytes: a magic number, the lengths of body,
header and digests, and the xxh3-128 of what lies between body and seal and of the seal itself.

An opening checks the seal, and with it the length of the file, the header and the digests; the
body only where it is small. So a file that was cut, or is another one, is found at once, and a bit
that changed in a large body by `check`, which `imgsearch doctor` and every rewriting call (ADR 17).
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple

import xxhash

from imgsearch.records import Revision

_SEAL = struct.Struct("<8sQQQ")
_DIGEST = 16
_MAGIC = b"imgsidx2"
_EARLIER, _EARLIER_SEAL = b"imgsidx1", 64
_BLOCK = 1 << 22
WHOLE_BYTES = 64 << 20
"""A body of so many bytes is checked at every opening: that takes some ten milliseconds."""


class EarlierFile(ValueError):
    """A file of an earlier version of imgsearch, which had another form."""


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


def described(header: dict[str, Any]) -> str:
    """What kind of index a header is of, in words."""
    if not header["trained"]:
        return "exact"
    return (
        f"{header['lists']} lists trained on {header['trained']} vectors, {header['probes']} looked"
        f" into for recall@10 {header['recall']:.3f}"
    )


def stored_kind(folder: str, library: str, space: str) -> str:
    """What kind of index lies on disk, in words; "" if there is none that can be read."""
    name = newest(folder, library, space)
    with contextlib.suppress(OSError, ValueError, KeyError):
        if name is not None:
            with open(os.path.join(folder, str(name)), "rb") as file:
                return described(unseal(file, whole=False).header)
    return ""


def _listed(folder: str) -> list[IndexName]:
    found = []
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for name in os.listdir(folder):
            parts = name.split(".")
            if len(parts) == 4 and parts[3] == "faiss" and parts[2].isdecimal():
                found.append(IndexName(parts[0], parts[1], int(parts[2])))
    return found


def write(folder: str, name: IndexName, save: Callable[[str], None]) -> None:
    """Write an index file so that after a crash either the old or the new one is there, whole.

    Parameters
    ----------
    save : callable
        Writes the sealed file to the path that it is given. It may use paths that begin with that
        one for what it needs on the way.

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
        os.replace(temporary, os.path.join(folder, str(name)))
    except BaseException:
        _sweep(folder)
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


class Sealing:
    """A file that is being written: its body first, then `close` puts header and seal behind it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.length = 0
        self._digests: list[bytes] = []
        self._state = xxhash.xxh3_64()
        self._room = _BLOCK

    def write(self, data: Any) -> None:
        """Append what has a buffer, in C-order."""
        view = memoryview(data)
        if not view.nbytes:  # cannot be cast
            return
        view = view.cast("B")
        self._file.write(view)
        self.length += len(view)
        while len(view) >= self._room:
            self._state.update(view[: self._room])
            view = view[self._room :]
            self._end_block()
        self._state.update(view)
        self._room -= len(view)

    def align(self) -> int:
        """Go on at the next multiple of 64 bytes; returns the place."""
        self.write(bytes(-self.length % 64))
        return self.length

    def _end_block(self) -> None:
        self._digests.append(self._state.digest())
        self._state.reset()
        self._room = _BLOCK

    def close(self, header: dict[str, Any]) -> None:
        """Write header, digests and seal, and make all of it durable."""
        self._end_block()
        told, digests = json.dumps(header).encode(), b"".join(self._digests)
        sizes = _SEAL.pack(_MAGIC, self.length, len(told), len(digests))
        digest = xxhash.xxh3_128(told + digests + sizes).digest()
        self._file.write(told + digests + sizes + digest)
        self._file.flush()
        os.fsync(self._file.fileno())


class Sealed(NamedTuple):
    """What stands behind the body of a file."""

    length: int
    header: dict[str, Any]
    digests: bytes


def unseal(file: BinaryIO, whole: bool = True) -> Sealed:
    """Read header and seal of a file, and with `whole` a small body.

    Raises
    ------
    ValueError
        The file is not whole, or of another kind; `EarlierFile` if of an earlier version's.
    """
    size = file.seek(0, os.SEEK_END) - _SEAL.size - _DIGEST
    if size < 0:
        raise ValueError("the file is too short")
    file.seek(size)
    sizes, digest = file.read(_SEAL.size), file.read(_DIGEST)
    magic, length, told, digests = _SEAL.unpack(sizes)
    if magic != _MAGIC or length + told + digests != size:
        file.seek(max(0, size + _SEAL.size + _DIGEST - _EARLIER_SEAL))
        if file.read(len(_EARLIER)) == _EARLIER:
            raise EarlierFile("an earlier version has written it")
        raise ValueError("the file has no valid seal")
    file.seek(length)
    between = file.read(told + digests)
    if xxhash.xxh3_128(between + sizes).digest() != digest:
        raise ValueError("the checksum of the header is wrong")
    found = Sealed(length, json.loads(between[:told]), between[told:])
    if whole and length <= WHOLE_BYTES:
        check(file, found)
    return found


def check(file: BinaryIO, found: Sealed) -> None:
    """Read the whole body; raises `ValueError` if a block is not what was written."""
    file.seek(0)
    left, digests = found.length, []
    while left > 0:
        block = file.read(min(_BLOCK, left))
        if not block:
            raise ValueError("the file is too short")
        digests.append(xxhash.xxh3_64(block).digest())
        left -= len(block)
    if found.length % _BLOCK == 0:
        digests.append(xxhash.xxh3_64().digest())  # the block that `close` ended was empty
    if b"".join(digests) != found.digests:
        raise ValueError("the checksum is wrong")


def _sync_folder(folder: str) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
