"""The SQLite file: connections, stored paths and error messages, without SQLAlchemy."""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

from imgsearch.catalog import word_forms
from imgsearch.errors import CatalogError, LibraryMissing
from imgsearch.filters.folding import folded
from imgsearch.filters.geography import distance_km

FILE = "catalog.sqlite"
BUSY_TIMEOUT_MS = 30_000
RESTORE_HINT = (
    "Restore the library folder from a backup, or remove the folder and index again; "
    "your pictures are not touched."
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPE = re.compile("//([0-9a-f]{4})")


def connect(path: str) -> sqlite3.Connection:
    """A connection to the catalog at `path`, in autocommit mode.

    The first migration switches the file to a write-ahead log, which lets readers continue while
    one process writes. `synchronous=FULL` makes every commit durable against power loss (SQLite,
    "PRAGMA synchronous").
    """
    connection = _connection(path)
    # In Python, because SQLite may be built without sin and cos.
    connection.create_function("distance_km", 4, _distance_km, deterministic=True)
    # For the triggers of `images` and `texts`: other programs can read the file, but not change
    # what is indexed.
    connection.execute("PRAGMA trusted_schema=ON")
    connection.create_function("word_text", 1, _word_text, deterministic=True)
    connection.create_function("word_forms", -1, _word_forms, deterministic=True)
    connection.create_function("folded", 1, _folded, deterministic=True)
    connection.create_function("folded_labels", 2, _folded_labels, deterministic=True)
    return connection


def _word_text(text: str | None) -> str | None:
    return None if text is None else word_forms.words(from_stored(text))


def _word_forms(*texts: str | None) -> str:
    return word_forms.forms(tuple(from_stored(text) for text in texts if text))


def _folded(text: str | None) -> str | None:
    return None if text is None else folded(text)


def _folded_labels(text: str | None, lines: int) -> str | None:
    """A text, or each of its lines, folded, as a JSON array."""
    if text is None:
        return None
    return json.dumps([folded(label) for label in (text.split("\n") if lines else [text])])


def _distance_km(*degrees: float | None) -> float | None:
    return None if None in degrees else distance_km(*degrees)  # type: ignore[arg-type]


def _connection(path: str) -> sqlite3.Connection:
    if _is_read_only(path):
        # It cannot change, so SQLite may read it without creating lock and log files.
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
    """True for a complete catalog in a folder that this process cannot write to."""
    folder = os.path.dirname(path) or os.curdir
    if not os.path.exists(path) or os.access(folder, os.W_OK):
        return False
    log = f"{path}-wal"
    return not os.path.exists(log) or not os.path.getsize(log)


def file_identity(path: str) -> tuple[int, int] | None:
    """Device and inode of the file at `path`; None if it does not exist."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def missing(folder: str) -> LibraryMissing:
    """The error for a folder without a library."""
    return LibraryMissing(
        f"there is no library in {folder}", "Make one: imgsearch index FOLDER-OF-PICTURES"
    )


def to_stored(path: str) -> str:
    """A path in its stored form.

    SQLite refuses the surrogate escapes (PEP 383) that stand for bytes that are not UTF-8. Each is
    stored as "//" and four hex digits. A normalised path has no "//", so this is unambiguous, and
    an ordinary path is stored unchanged.
    """
    return _SURROGATE.sub(lambda match: f"//{ord(match[0]):04x}", path)


def from_stored(text: str) -> str:
    """The inverse of `to_stored`."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)


@contextmanager
def sqlite_errors() -> Iterator[None]:
    """Turn SQLite's errors about a full disk, a lock or a damaged file into a `CatalogError`."""
    try:
        yield
    except Exception as error:
        cause = getattr(error, "orig", error)  # SQLAlchemy wraps the errors of SQLite
        if not isinstance(cause, sqlite3.Error):
            raise
        raise _catalog_error(cause) from error


def _catalog_error(error: sqlite3.Error) -> CatalogError:
    text = str(error)
    if "full" in text or "disk I/O error" in text:
        return CatalogError(
            f"the catalog cannot be written: {text}",
            "Free some space on the disk that holds the library and run the command again; "
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
        return CatalogError(f"the catalog lacks a table or column: {text}", RESTORE_HINT)
    return CatalogError(f"the catalog is damaged: {text}", RESTORE_HINT)
