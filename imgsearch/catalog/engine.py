"""Connections to the SQLite file: write-ahead log, full durability, explicit transactions."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError, OperationalError

from imgsearch.errors import CatalogError
from imgsearch.geography import distance_km

BUSY_TIMEOUT_MS = 30_000


def open_engine(path: str) -> Engine:
    """An engine for the SQLite file at `path`.

    The file itself says that it has a write-ahead log, from its first migration on.
    `synchronous=FULL` makes every commit durable against power loss (SQLite, "PRAGMA
    synchronous"), and the write-ahead log lets readers go on while one process writes.
    """
    engine = create_engine("sqlite+pysqlite://", creator=lambda: _connect(path))
    event.listen(engine, "begin", _begin)
    return engine


def _connect(path: str) -> Any:
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


def _begin(connection: Connection) -> None:
    """Writers take the write lock at once, so that none fails halfway for want of it."""
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One read transaction: every statement in it sees the same state."""
    with told(), engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One write transaction: all of it or nothing."""
    immediate = engine.execution_options(immediate=True)
    with told(), immediate.begin() as connection:
        yield connection


@contextmanager
def told() -> Iterator[None]:
    """Turn what SQLite says of a full disk, a lock or a broken file into a `CatalogError`."""
    try:
        yield
    except (DatabaseError, sqlite3.Error) as error:
        raise _catalog_error(error) from error


def _catalog_error(error: DatabaseError | sqlite3.Error) -> CatalogError:
    text = str(getattr(error, "orig", error))
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
    if isinstance(error, OperationalError) and "no such" in text:
        return CatalogError(f"the catalog lacks a table or column: {text}", RESTORE)
    return CatalogError(f"the catalog is damaged: {text}", RESTORE)


RESTORE = (
    "Put back a copy of the library folder from a backup, or remove the folder and index again; "
    "your pictures are not touched."
)
