"""Index files on disk: named by their content, sealed with checksums, replaced atomically.

The name is `<library uuid>.<space key>.<revision>.faiss`. The body is followed by a header (JSON),
an xxh3-64 of each block of the body, and a seal of 48 bytes: a magic number, the lengths of body,
header and digests, and the xxh3-128 of header, digests and the beginning of the seal.

Opening a file verifies the seal, and thereby the length of the file, the header and the digests; it
verifies the body only if that is small. So a truncated or foreign file is detected immediately, and
a changed bit in a large body by `check`, which is called by `imgsearch doctor` and before every
rewrite (ADR 17).
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple

import xxhash

from imgsearch.indexes import gpus
from imgsearch.records import Revision
from imgsearch.writing import private_folder, private_mode, sync_folder

_SEAL = struct.Struct("<8sQQQ")
_DIGEST_BYTES = 16
_MAGIC = b"imgsidx2"
_EARLIER_MAGIC, _EARLIER_SEAL_BYTES = b"imgsidx1", 64
_BLOCK_BYTES = 1 << 22
MAX_VERIFIED_BYTES = 64 << 20
"""Bodies up to this size are verified on every opening, which takes about ten milliseconds."""


class EarlierFile(ValueError):
    """The file has the format of an earlier version of imgsearch."""


class IndexName(NamedTuple):
    """The parts of the name of an index file."""

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
    """Index files in `folder` that belong to another library."""
    return [str(name) for name in _listed(folder) if name.library != library]


def described(header: dict[str, Any]) -> str:
    """The kind of index that a header describes, in words."""
    if not header["trained"]:
        return "exact"
    return (
        f"{header['lists']} lists trained on {header['trained']} vectors, {header['probes']}"
        f" searched for recall@10 {header['recall']:.3f}"
    )


def stored_kind(folder: str, library: str, space: str, setting: str) -> str:
    """The kind of the index on disk, in words; "" if none can be read.

    Parameters
    ----------
    setting : str
        The configured kind of index, which decides whether a GPU searches it.
    """
    name = newest(folder, library, space)
    with contextlib.suppress(OSError, ValueError, KeyError):
        if name is not None:
            with open(os.path.join(folder, str(name)), "rb") as file:
                header = unseal(file, whole=False).header
            return described(header) + gpus.place(setting, header)
    return ""


def _listed(folder: str) -> list[IndexName]:
    names = []
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for entry in os.scandir(folder):
            parts = entry.name.split(".")
            named = len(parts) == 4 and parts[3] == "faiss" and parts[2].isdecimal()
            if named and not entry.is_dir():
                names.append(IndexName(parts[0], parts[1], int(parts[2])))
    return names


def write(folder: str, name: IndexName, save: Callable[[str], None]) -> None:
    """Write an index file so that a crash leaves either the old or the new one, complete.

    Parameters
    ----------
    save : callable
        Writes the sealed file to the path it gets, and may create scratch files whose paths begin
        with that one.

    Raises
    ------
    OSError
        The file cannot be written, for instance because the disk is full; no files are left.
    """
    private_folder(folder)
    _sweep(folder)
    temporary = os.path.join(folder, f".{os.getpid()}.tmp")
    try:
        save(temporary)
        os.chmod(temporary, private_mode(temporary))
        _clear_place(os.path.join(folder, str(name)))
        os.replace(temporary, os.path.join(folder, str(name)))
    except BaseException:
        _sweep(folder)
        raise
    sync_folder(folder)
    for old in _listed(folder):
        if old[:2] == name[:2] and old.revision != name.revision:
            with contextlib.suppress(OSError):
                os.remove(os.path.join(folder, str(old)))


def _clear_place(path: str) -> None:
    """Move a folder with the name of an index file aside, because it is not ours to remove."""
    if os.path.isdir(path) and not os.path.islink(path):
        number = 1
        while os.path.lexists(f"{path}.moved-{number}"):
            number += 1
        os.rename(path, f"{path}.moved-{number}")


def _sweep(folder: str) -> None:
    """Remove files of killed writers; the caller holds the writer lock."""
    for name in os.listdir(folder):
        if name.startswith(".") and name.endswith(".tmp"):
            with contextlib.suppress(OSError):
                os.remove(os.path.join(folder, name))


class SealedWriter:
    """Writes a sealed file: its body first; `close` appends header, digests and seal."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.length = 0
        self._digests: list[bytes] = []
        self._state = xxhash.xxh3_64()
        self._block_room = _BLOCK_BYTES

    def write(self, data: Any) -> None:
        """Append an object with a buffer, in C-order."""
        view = memoryview(data)
        if not view.nbytes:  # an empty view cannot be cast
            return
        view = view.cast("B")
        self._file.write(view)
        self.length += len(view)
        while len(view) >= self._block_room:
            self._state.update(view[: self._block_room])
            view = view[self._block_room :]
            self._end_block()
        self._state.update(view)
        self._block_room -= len(view)

    def align(self) -> int:
        """Pad to the next multiple of 64 bytes; returns the offset."""
        self.write(bytes(-self.length % 64))
        return self.length

    def _end_block(self) -> None:
        self._digests.append(self._state.digest())
        self._state.reset()
        self._block_room = _BLOCK_BYTES

    def close(self, header: dict[str, Any]) -> None:
        """Write header, digests and seal, and sync the file to disk."""
        self._end_block()
        text, digests = json.dumps(header).encode(), b"".join(self._digests)
        sizes = _SEAL.pack(_MAGIC, self.length, len(text), len(digests))
        digest = xxhash.xxh3_128(text + digests + sizes).digest()
        self._file.write(text + digests + sizes + digest)
        self._file.flush()
        os.fsync(self._file.fileno())


class Sealed(NamedTuple):
    """The length of a file's body, and the header and digests that follow it."""

    length: int
    header: dict[str, Any]
    digests: bytes


def unseal(file: BinaryIO, whole: bool = True) -> Sealed:
    """Read and verify header and seal of a file, and with `whole` also a small body.

    Raises
    ------
    ValueError
        The file is damaged or has another format; `EarlierFile` for that of an earlier version.
    """
    size = file.seek(0, os.SEEK_END) - _SEAL.size - _DIGEST_BYTES
    if size < 0:
        raise ValueError("the file is too short")
    file.seek(size)
    sizes, digest = file.read(_SEAL.size), file.read(_DIGEST_BYTES)
    magic, length, text, digests = _SEAL.unpack(sizes)
    if magic != _MAGIC or length + text + digests != size:
        file.seek(max(0, size + _SEAL.size + _DIGEST_BYTES - _EARLIER_SEAL_BYTES))
        if file.read(len(_EARLIER_MAGIC)) == _EARLIER_MAGIC:
            raise EarlierFile("it was written by an earlier version")
        raise ValueError("the file has no valid seal")
    file.seek(length)
    trailer = file.read(text + digests)
    if xxhash.xxh3_128(trailer + sizes).digest() != digest:
        raise ValueError("the checksum of the header is wrong")
    sealed = Sealed(length, json.loads(trailer[:text]), trailer[text:])
    if whole and length <= MAX_VERIFIED_BYTES:
        check(file, sealed)
    return sealed


def check(file: BinaryIO, sealed: Sealed) -> None:
    """Read the whole body; raises `ValueError` if a checksum is wrong."""
    file.seek(0)
    left, digests = sealed.length, []
    while left > 0:
        block = file.read(min(_BLOCK_BYTES, left))
        if not block:
            raise ValueError("the file is too short")
        digests.append(xxhash.xxh3_64(block).digest())
        left -= len(block)
    if sealed.length % _BLOCK_BYTES == 0:
        digests.append(xxhash.xxh3_64().digest())  # the block that `close` ended was empty
    if b"".join(digests) != sealed.digests:
        raise ValueError("the checksum is wrong")
