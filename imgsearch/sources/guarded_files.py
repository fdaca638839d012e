"""Opens, reads and hashes files of any kind safely, each read only once."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import xxhash

from imgsearch.records import ImageFile, Known, Skipped, clamped, signed

_CHUNK_BYTES = 1 << 20

# A plain open of a FIFO would block for ever, and a terminal could become the controlling one.
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)

TOO_MANY_FILES = "could not be read: too many open files"
_REASONS = {
    errno.ENOENT: "is not there any more",
    errno.ENOTDIR: "is not there any more",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EIO: "the disk reports a read error",
    errno.ESTALE: "the network disk has lost it",
    errno.EBUSY: "another program has it locked",
    errno.EMFILE: TOO_MANY_FILES,
    errno.ENFILE: TOO_MANY_FILES,
    errno.ENAMETOOLONG: "the path is too long for the operating system",
    errno.ELOOP: "a link that leads back to itself",
}


class Unusable(Exception):
    """A file that cannot be used as an image; callers turn it into a `Skipped`."""

    def __init__(self, reason: str, transient: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.transient = transient


def os_reason(error: OSError) -> str:
    """An operating system error in words, without path or number."""
    known = _REASONS.get(error.errno or 0)
    return known or f"could not be read: {(error.strerror or 'unknown error').lower()}"


def content_hash(data: bytes) -> str:
    """The xxh3-128 hash in hex."""
    return xxhash.xxh3_128_hexdigest(data)


def read_file(file: ImageFile, max_bytes: int) -> tuple[bytes, ImageFile]:
    """All bytes of a file, and its size and time when they were read.

    Raises
    ------
    Unusable
        Not a regular file, unreadable, larger than `max_bytes`, or changed during reading.
    """
    with _open_unchanged(file) as (fd, seen):
        if seen.size > max_bytes:
            raise Unusable(
                f"the file is too large: {seen.size >> 20} MiB, the limit is {max_bytes >> 20} MiB"
            )
        return b"".join(_chunks(fd, seen.size, seen.size)), seen


def digest_file(file: ImageFile) -> Known | Skipped:
    """Read a file once, in pieces, and hash it."""
    try:
        with _open_unchanged(file) as (fd, seen):
            state = xxhash.xxh3_128()
            for chunk in _chunks(fd, seen.size, _CHUNK_BYTES):
                state.update(chunk)
        from imgsearch.sources.name_dates import read_name  # an unchanged library does without

        named = read_name(os.path.basename(file.path)).named
        if named is None:
            return Known(seen, state.hexdigest())
        return Known(seen, state.hexdigest(), named_at=named.start, named_precision=named.precision)
    except Unusable as error:
        return Skipped(file, error.reason, error.transient)


def is_here(file: ImageFile) -> bool:
    """True if this machine can open a file, and it has the size of the scan."""
    try:
        with _open_unchanged(file) as (_, seen):
            return seen.size == file.size
    except Unusable:
        return False


def open_below(path: str, roots: Sequence[str]) -> int:
    """An open descriptor of a regular file below one of the folders, with links followed.

    A folder of a git-annex repository has the contents of its files in `.git/annex/objects` of the
    repository, which may lie above the folder: that counts as below it.

    The location is taken from the descriptor and not from the path, so the file cannot be exchanged
    between the check and its use.

    Raises
    ------
    Unusable
        The file does not exist, is not a regular file, or lies elsewhere.
    """
    try:
        fd = os.open(path, _FLAGS)
        try:
            _current(ImageFile("", "", 0, 0), fd)
            place, real = _place(fd, path), [os.path.realpath(root) for root in roots]
            if not any(_inside(place, folder) for folder in (*real, *map(_annex, real))):
                raise Unusable("it is reached by a link that leads out of the library's folders")
        except BaseException:
            os.close(fd)
            raise
    except OSError as error:
        raise Unusable(os_reason(error), transient=True) from error
    except ValueError as error:  # a NUL in the path
        raise Unusable("the path is not valid") from error
    return fd


def read_below(path: str, roots: Sequence[str], max_bytes: int) -> bytes:
    """All bytes of a file below one of the folders; raises `Unusable` like `open_below`."""
    fd = open_below(path, roots)
    try:
        size = os.fstat(fd).st_size
        if size > max_bytes:
            raise Unusable(f"the file is too large: {size >> 20} MiB")
        return b"".join(_chunks(fd, size, _CHUNK_BYTES))
    except OSError as error:
        raise Unusable(os_reason(error), transient=True) from error
    finally:
        os.close(fd)


def _place(fd: int, path: str) -> str:
    """The absolute path of an open file, without links."""
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:  # no /proc: not Linux
        place = os.path.realpath(path)
        if not os.path.samestat(os.lstat(place), os.fstat(fd)):
            raise Unusable("the file changed while it was being opened", transient=True) from None
        return place


def _inside(place: str, folder: str) -> bool:
    return bool(folder) and place.startswith(folder.rstrip(os.sep) + os.sep)


def _annex(folder: str) -> str:
    """The contents of the git-annex repository that a folder is in; "" if it is in none."""
    while True:
        if os.path.lexists(os.path.join(folder, ".git")):
            contents = os.path.join(folder, ".git", "annex", "objects")
            return os.path.realpath(contents) if os.path.isdir(contents) else ""
        folder, below = os.path.split(folder)
        if not below:
            return ""


@contextmanager
def _open_unchanged(file: ImageFile) -> Iterator[tuple[int, ImageFile]]:
    """An open descriptor of a regular file; raises `Unusable` if the file changes meanwhile."""
    try:
        fd = os.open(file.absolute, _FLAGS)
        try:
            seen = _current(file, fd)
            yield fd, seen
            now = _current(file, fd)
            if now.state != seen.state:
                raise Unusable("the file changed while it was being read", transient=True)
        finally:
            os.close(fd)
    except OSError as error:
        raise Unusable(os_reason(error), transient=True) from error
    except ValueError as error:  # a NUL in the path
        raise Unusable("the path is not valid") from error


def _current(file: ImageFile, fd: int) -> ImageFile:
    status = os.fstat(fd)
    if stat.S_ISDIR(status.st_mode):
        raise Unusable("a folder, not a file")
    if not stat.S_ISREG(status.st_mode):
        raise Unusable("not a regular file (a pipe, socket or device)")
    return replace(
        file,
        size=status.st_size,
        mtime_ns=clamped(status.st_mtime_ns),
        ctime_ns=file.ctime_ns and clamped(status.st_ctime_ns),  # where it is trusted
        inode=file.inode and signed(status.st_ino),
    )


def _chunks(fd: int, size: int, chunk_bytes: int) -> Iterator[bytes]:
    """The first `size` bytes of a file in chunks, even if the file keeps growing."""
    left = size
    while left and (chunk := os.read(fd, min(chunk_bytes, left))):
        left -= len(chunk)
        yield chunk
