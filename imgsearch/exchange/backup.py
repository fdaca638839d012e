"""Backups: writes the catalog of a library into one file, and restores it.

The catalog holds everything that cannot be computed again, so a backup has no index files; the
first search after `restore` rebuilds them.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import quote

from imgsearch.catalog.lock import HOLDER_FILE, LOCK_FILE, writer_lock
from imgsearch.catalog.schema import require_known
from imgsearch.catalog.sqlite_file import FILE, is_immutable
from imgsearch.errors import (
    CatalogError,
    LibraryBusy,
    LibraryMissing,
    TooManyFiles,
    is_too_many_files,
)
from imgsearch.writing import discard, private_folder, private_mode, sync_folder, write_part

_REPLACE_HINT = "Choose another name, or replace it with --replace."
_JOURNALS = ("-wal", "-shm", "-journal")


@dataclass(frozen=True, slots=True)
class Backup:
    """Counts, size and hash of a backup file.

    Attributes
    ----------
    images, vectors : int
        Rows of the catalog, including those of absent pictures.
    bytes : int
        Size of the file.
    sha256 : str
        Hash of the file, as `sha256sum` prints it.
    """

    images: int
    vectors: int
    bytes: int
    sha256: str


def backup(library: str, target: str, replace: bool = False) -> Backup:
    """Write the catalog of a library into one file, while others read and write it.

    Parameters
    ----------
    library : str
        Library folder.
    target : str
        File to write. It gets its name when it is complete, checked and on the disk.
    replace : bool
        Replace an existing file.

    Raises
    ------
    LibraryMissing
        The folder has no library.
    CatalogError
        The target exists or cannot be written, or the catalog is damaged.
    """
    source, target = os.path.join(library, FILE), os.path.realpath(target)
    if not os.path.exists(source):
        raise LibraryMissing(f"there is no library in {library}", "Choose one with --library DIR.")
    if os.path.exists(target) and os.path.samefile(source, target):
        raise CatalogError(f"{target} is the catalog itself", "Choose another name.")
    if os.path.lexists(target) and not replace:
        raise CatalogError(f"{target} already exists", _REPLACE_HINT)
    if os.path.isdir(target):
        raise CatalogError(f"{target} is a folder", "Name a file.")
    with _failures(f"the backup {target} cannot be written"):
        return _copied(source, target, "DELETE")


def restore(file: str, library: str, replace: bool = False) -> Backup:
    """Make a library from a backup file.

    Parameters
    ----------
    file : str
        A file that `backup` wrote; it is not changed.
    library : str
        Library folder: a new or an empty one.
    replace : bool
        Replace the library in that folder, which no other process may have open.

    Raises
    ------
    CatalogError
        The file is not a complete backup, or the folder is not empty or cannot be written.
    LibraryBusy
        Another process has the library to replace open.
    LibraryTooNew
        A newer version of imgsearch wrote the backup.
    """
    if not os.path.isfile(file):
        raise CatalogError(f"there is no file {file}", "Name a file written by 'imgsearch backup'.")
    target = os.path.join(library, FILE)
    with _failures(f"{file} cannot be restored into {library}"):
        _require_room(library, replace)
        _contents(file)
        private_folder(library)
        with writer_lock(library) as require_held:
            _require_room(library, replace)  # another restore may have been faster
            part = _checked_part(file, library, "WAL")
            try:
                _release(target)
                require_held(None)
                os.replace(part, target)
            except BaseException:
                _discard_all(part)
                _keep_log(target)
                raise
            sync_folder(library)
            return _described(target)


def _require_room(library: str, replace: bool) -> None:
    if not os.path.lexists(library):
        return
    names = set(os.listdir(library))
    if FILE in names:
        if not replace:
            raise CatalogError(
                f"{library} already holds a library",
                "Choose a new folder with --library DIR, or replace this library with --replace.",
            )
    elif any(not _left_behind(name) for name in names):
        raise CatalogError(
            f"{library} is not empty and holds no library", "Choose a new folder: --library DIR."
        )


def _left_behind(name: str) -> bool:
    """True for files that a killed restore leaves."""
    return name in (LOCK_FILE, HOLDER_FILE) or name.startswith(".imgsearch-")


def _release(target: str) -> None:
    """Merge the log of a catalog that is to be replaced into its file, and remove the log.

    SQLite would apply a remaining log to the new file. Leaving the write-ahead log needs the only
    connection, so this also shows that no other process has the catalog open.
    """
    if not os.path.exists(target):
        _remove_journals(target)
        return
    try:
        with closing(sqlite3.connect(os.fsencode(target), timeout=1)) as old:
            old.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise LibraryBusy(
                "another process has the library that is to be replaced open",
                "Stop it ('imgsearch daemon --stop', 'imgsearch serve'), or restore into a new"
                " folder with --library DIR.",
            ) from None
        raise
    except sqlite3.DatabaseError:  # damaged, which is a reason to restore
        _remove_journals(target)


def _keep_log(target: str) -> None:
    """Give a catalog that was not replaced its write-ahead log back."""
    if os.path.exists(target):
        with suppress(sqlite3.Error), closing(sqlite3.connect(os.fsencode(target))) as old:
            old.execute("PRAGMA journal_mode=WAL")


def _remove_journals(target: str) -> None:
    for ending in _JOURNALS:
        discard(target + ending)


def _copied(source: str, target: str, journal: str) -> Backup:
    part = _checked_part(source, os.path.dirname(target), journal)
    try:
        os.replace(part, target)
    except BaseException:
        _discard_all(part)
        raise
    sync_folder(os.path.dirname(target))
    return _described(target)


def _checked_part(source: str, folder: str, journal: str) -> str:
    """A complete copy of a catalog under a hidden name, checked and on the disk."""
    part = write_part(folder, lambda file: None)
    try:
        os.chmod(part, private_mode(part))
        with closing(_reading(source)) as old, closing(sqlite3.connect(os.fsencode(part))) as copy:
            old.backup(copy)  # in one step: a writer in between would make it start again
            copy.execute(f"PRAGMA journal_mode={journal}")
        _contents(part)
        descriptor = os.open(part, os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except BaseException:
        _discard_all(part)
        raise
    return part


def _discard_all(part: str) -> None:
    _remove_journals(part)
    discard(part)


def _reading(path: str) -> sqlite3.Connection:
    access = "immutable=1" if is_immutable(path) else "mode=ro"
    uri = f"file:{quote(os.fsencode(os.path.abspath(path)))}?{access}"
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=30)


def _contents(path: str) -> tuple[int, int]:
    """Numbers of pictures and vectors of a catalog that is sound."""
    with closing(_reading(path)) as connection:
        fault = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if fault != "ok" or connection.execute("PRAGMA foreign_key_check").fetchone():
            raise sqlite3.DatabaseError(f"it is damaged: {fault}")
        version = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        require_known(version and str(version[0]))
        images = connection.execute("SELECT count(*) FROM images").fetchone()[0]
        return images, connection.execute("SELECT count(*) FROM embeddings").fetchone()[0]


def _described(path: str) -> Backup:
    images, vectors = _contents(path)
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Backup(images, vectors, os.path.getsize(path), digest)


@contextmanager
def _failures(what: str) -> Iterator[None]:
    """Errors of SQLite and of the system as a `CatalogError`."""
    try:
        yield
    except sqlite3.Error as error:
        raise CatalogError(
            f"{what}: {error}",
            "Check the free space and the permissions, and the catalog with 'imgsearch doctor'.",
        ) from error
    except OSError as error:
        if is_too_many_files(error):
            raise TooManyFiles from error
        raise CatalogError(
            f"{what}: {error.strerror}", "Check the folder, its permissions and the free space."
        ) from error
