"""The SQLite file itself: connections to it, and what its complaints mean. No SQLAlchemy here."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

from imgsearch.errors import CatalogError, LibraryMissing
from imgsearch.filters.geography import distance_km

FILE = "catalog.sqlite"
BUSY_TIMEOUT_MS = 30_000
RESTORE = (
    "Put back a copy of the library folder from a backup, or remove the folder and index again; "
    "your pictures are not touched."
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPE = re.compile("//([0-9a-f]{4})")


def connect(path: str) -> sqlite3.Connection:
    """A connection to the catalog at `path`, in autocommit mode.

    The file itself says that it has a write-ahead log, from its first migration on.
    `synchronous=FULL` makes every commit durable against power loss (SQLite, "PRAGMA
    synchronous"), and the write-ahead log lets readers go on while one process writes.
    """
    connection = _opened(path)
    # SQLite may be built without sin and cos.
    connection.create_function("distance_km", 4, _distance_km, deterministic=True)
    return connection


def _distance_km(*degrees: float | None) -> float | None:
    return None if None in degrees else distance_km(*degrees)  # type: ignore[arg-type]


def _opened(path: str) -> sqlite3.Connection:
    if _is_read_only(path):
        # Nobody can write to it, so SQLite may read it without its lock and log files.
        uri = f"file:{quote(os.fsencode(os.path.abspath(path)))}?immutable=1"
        return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    connection = sqlite3.connect(
        os.fsencode(path), isolation_level=None, check_same_thread=False, timeout=0
    )
    for pragma in (
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _is_read_only(path: str) -> bool:
    """True for a whole catalog in a folder where this process may not write."""
    folder = os.path.dirname(path) or os.curdir
    if not os.path.exists(path) or os.access(folder, os.W_OK):
        return False
    log = f"{path}-wal"
    return not os.path.exists(log) or not os.path.getsize(log)


def file_identity(path: str) -> tuple[int, int] | None:
    """What tells the file at `path` from any other that is there now; None if there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def missing(folder: str) -> LibraryMissing:
    """There is no library in that folder."""
    return LibraryMissing(
        f"there is no library in {folder}", "Make one: imgsearch index FOLDER-OF-PICTURES"
    )


def to_stored(path: str) -> str:
    """A path as the catalog holds it.

    SQLite refuses the surrogate escapes (PEP 383) that stand for bytes that are not UTF-8. Each is
    stored as "//" and four hex digits. No normal path has "//" in it, so nothing is ambiguous,
    and every ordinary path is stored as it reads.
    """
    return _SURROGATE.sub(lambda found: f"//{ord(found[0]):04x}", path)


def from_stored(text: str) -> str:
    """The path that `to_stored` made the text of."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)


@contextmanager
def told() -> Iterator[None]:
    """Turn what SQLite says of a full disk, a lock or a broken file into a `CatalogError`."""
    try:
        yield
    except Exception as error:
        said = getattr(error, "orig", error)  # SQLAlchemy wraps what SQLite says
        if not isinstance(said, sqlite3.Error):
            raise
        raise _catalog_error(said) from error


def _catalog_error(error: sqlite3.Error) -> CatalogError:
    text = str(error)
    if "full" in text or "disk I/O error" in text:
        return CatalogError(
            f"the catalog cannot be written: {text}",
            "Free some space on the disk of the library and run the command again; "
            "everything committed so far is kept.",
        )
    if "locked" in text or "busy" in text:
        return CatalogError("the catalog is locked by another program", "Try again in a moment.")
    if "readonly" in text or "unable to open" in text:
        return CatalogError(
            f"the catalog cannot be opened for writing: {text}",
            "Check the permissions of the library folder.",
        )
    if isinstance(error, sqlite3.OperationalError) and "no such" in text:
        return CatalogError(f"the catalog lacks a table or column: {text}", RESTORE)
    return CatalogError(f"the catalog is damaged: {text}", RESTORE)
