"""Writes files atomically: completely or not at all.

The data goes into a new file in the same folder, with a hidden name that ends with ".part", which
scans ignore. Only its owner may read it, and it is on the disk before it gets its final name. If
anything fails it is removed, and an existing file of that name stays unchanged.

Files and folders of a library are their owner's alone, whatever the umask. A library folder with
the setgid bit is shared on purpose: what is made in it has the folder's rights for the group.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO

PART_AFFIXES = (".imgsearch-", ".part")
"""Beginning and end of the names of files that are not complete."""


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
    with _part(folder, durable) as (file, name):
        fill(file)
    return name


@contextmanager
def _part(folder: str, durable: bool) -> Iterator[tuple[IO[bytes], str]]:
    """A file to write and its path; it is removed if that fails."""
    number, name = tempfile.mkstemp(prefix=PART_AFFIXES[0], suffix=PART_AFFIXES[1], dir=folder)
    try:
        with os.fdopen(number, "wb") as file:
            yield file, name
            file.flush()
            if durable:
                os.fsync(file.fileno())
    except BaseException:
        discard(name)
        raise


def replace_file(target: str, data: bytes, *, private: bool = False, durable: bool = True) -> None:
    """Create or replace a file; see `new_file`."""
    with new_file(target, private=private, durable=durable) as file:
        file.write(data)


@contextmanager
def new_file(target: str, *, private: bool = False, durable: bool = True) -> Iterator[IO[bytes]]:
    """A file to write, which takes the place of `target` at the end. A link stays a link.

    Parameters
    ----------
    private : bool
        It belongs to a library: only the owner may read it, or the group that shares the
        folder. Otherwise the umask decides.
    durable : bool
        Wait until the data is on the disk; False if losing it in a power failure is acceptable.

    Raises
    ------
    OSError
        The file cannot be written; nothing is left behind.
    """
    real = os.path.realpath(target)
    with _part(os.path.dirname(real), durable) as (file, name):
        yield file
    try:
        os.chmod(name, private_mode(real) if private else 0o666 & ~_umask())
        os.replace(name, real)
    except BaseException:
        discard(name)
        raise
    if durable:
        sync_folder(os.path.dirname(real))


def sync_folder(folder: str) -> None:
    """Wait until the names in a folder are on the disk, where the system can do that."""
    if os.name != "posix":
        return
    try:
        _sync(folder, os.O_RDONLY)
    except OSError as error:  # a folder that may not be read, or a file system without this
        if error.errno not in (errno.EACCES, errno.EINVAL):
            raise


def private_mode(path: str) -> int:
    """The mode of a file of a library at this path."""
    return 0o600 | (_shared(os.path.dirname(path)) & 0o060)


def private_opener(path: str, flags: int) -> int:
    """An opener for `open` that makes a file of a library."""
    mode = private_mode(path)
    descriptor = os.open(path, flags, mode)
    with suppress(OSError):  # another user's file in a shared folder stays as it is
        os.chmod(path, mode)
    return descriptor


def private_folder(path: str) -> None:
    """Create a folder in a library, or a library, and the folders above it; it may be there.

    Raises
    ------
    OSError
        It cannot be created, or is something else.
    """
    above = os.path.dirname(path)
    if os.path.isdir(path):
        return
    if above and not os.path.isdir(above):
        private_folder(above)
    os.mkdir(path, 0o700)
    if shared := _shared(above):
        os.chmod(path, stat.S_ISGID | 0o700 | shared)


def close_to_others(library: str) -> str:
    """Take the rights of other users on a library folder and what lies directly in it.

    Returns
    -------
    str
        A note if others could read the folder until now, or still can; otherwise "".
    """
    if os.name != "posix":
        return ""
    shared = _shared(library)
    was_open = _narrow(library, 0o700 | shared)
    with suppress(OSError), os.scandir(library) as entries:
        for entry in entries:
            folder = entry.is_dir(follow_symlinks=False)
            if folder or entry.is_file(follow_symlinks=False):
                _narrow(entry.path, 0o700 | shared if folder else 0o600 | (shared & 0o060))
    if not was_open:
        return ""
    if os.stat(library).st_mode & 0o077 & ~shared:
        return (
            f"Other users can read the library folder {library}, and its rights cannot be changed."
        )
    return (
        f"Other users could read the library folder {library}; now only you can. To share it with"
        " its group: chmod g+rxs on that folder."
    )


def is_open_to_others(library: str) -> bool:
    """True for a folder of this user that others have rights on, beyond a group that shares it."""
    try:
        status = os.stat(library)
    except OSError:
        return False
    owned = os.name == "posix" and status.st_uid == os.geteuid()
    return owned and bool(status.st_mode & 0o077 & ~_shared(library))


def _narrow(path: str, mode: int) -> bool:
    """Take rights beyond `mode` from a file or folder; True if it had any."""
    with suppress(OSError):
        now = os.stat(path, follow_symlinks=False).st_mode
        if now & 0o777 & ~mode:
            with suppress(OSError):  # not ours, or a file system without rights
                os.chmod(path, stat.S_IMODE(now) & (mode | ~0o777))
            return True
    return False


def _shared(folder: str) -> int:
    """The rights of the group on a folder that is shared on purpose; 0 for any other."""
    try:
        mode = os.stat(folder or os.curdir).st_mode
    except OSError:
        return 0
    return mode & 0o070 if mode & stat.S_ISGID else 0


def make_durable(path: str) -> None:
    """Wait until a file that is complete, and its name, are on the disk."""
    _sync(path, os.O_RDWR)
    sync_folder(os.path.dirname(path) or os.curdir)


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
