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
from imgsearch.errors import CatalogError, LibraryMissing, require_free_descriptor
from imgsearch.filters.geography import distance_km
from imgsearch.filters.text_keys import folded

FILE = "catalog.sqlite"
BUSY_TIMEOUT_MS = 30_000
RESTORE_HINT = (
    "Restore the library folder from a backup, or remove the folder and index again; "
    "your pictures are not touched."
)
DAMAGE_HINT = f"'imgsearch doctor' names the row. {RESTORE_HINT}"
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
        access = "immutable=1" if is_immutable(path) else "mode=ro"
        uri = f"file:{quote(os.fsencode(os.path.abspath(path)))}?{access}"
        timeout_s = BUSY_TIMEOUT_MS / 1000
        return sqlite3.connect(
            uri, uri=True, isolation_level=None, check_same_thread=False, timeout=timeout_s
        )
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
    return os.path.exists(path) and not os.access(folder, os.W_OK)


def is_immutable(path: str) -> bool:
    """True if a catalog is read as a file that nobody changes.

    SQLite cannot create its log and its shared memory in a folder that is read-only here. While a
    writer elsewhere has the catalog open, both exist, and SQLite follows that writer. After the
    last writer has closed it, they are gone: then the file can only be read as immutable, which
    misses the changes of a later writer. `file_stamp` reveals them.
    """
    return _is_read_only(path) and not os.path.exists(f"{path}-wal")


def file_stamp(path: str) -> tuple[int, ...]:
    """Numbers that change when a process writes to the catalog or opens it for writing."""
    try:
        status = os.stat(path)
    except OSError:
        return ()
    log = os.path.exists(f"{path}-wal")
    return status.st_ino, status.st_size, status.st_mtime_ns, log


def file_identity(path: str) -> tuple[int, int] | None:
    """Device and inode of the file at `path`; None if it does not exist."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def incomplete(place: str) -> CatalogError:
    """The error for a catalog without the row of its library, which a copy writes last."""
    return CatalogError(
        f"the catalog in {place} is not complete: a copy into it has not ended",
        "Run 'imgsearch migrate' again.",
    )


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


@contextmanager
def stored_values() -> Iterator[None]:
    """`sqlite_errors`, around code that only reads stored values: a value that cannot be converted
    is an error of the catalog as well."""
    with sqlite_errors():
        try:
            yield
        except (ValueError, TypeError) as error:
            message = f"a value in the catalog is damaged: {error}"
            raise CatalogError(message, DAMAGE_HINT) from error


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
    if "unable to open" in text:
        require_free_descriptor()
    if "readonly" in text or "unable to open" in text:
        return CatalogError(
            f"the catalog cannot be opened: {text}",
            "Check the permissions of the library folder. Where it is read-only, the catalog can be"
            " read only if its last writer has closed it, or is at work on the same machine.",
        )
    if isinstance(error, sqlite3.OperationalError) and "no such" in text:
        return CatalogError(f"the catalog lacks a table or column: {text}", RESTORE_HINT)
    return CatalogError(f"the catalog is damaged: {text}", RESTORE_HINT)
