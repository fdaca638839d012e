"""SQLAlchemy engine for the SQLite file, with explicit read and write transactions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, create_engine, event

from imgsearch.catalog.sqlite_file import connect, sqlite_errors


def open_engine(path: str) -> Engine:
    """An engine for the SQLite file at `path`, with connections made by `sqlite_file.connect`."""
    engine = create_engine("sqlite+pysqlite://", creator=lambda: connect(path))
    event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: Connection) -> None:
    """Begin a transaction; a writer takes the write lock first, so that it cannot fail halfway."""
    options = connection.get_execution_options()
    immediate = options.get("immediate", False)
    if immediate and "require_held" in options:
        options["require_held"]()
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A read transaction: every statement in it sees the same state."""
    with sqlite_errors(), engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A write transaction: all or nothing."""
    immediate = engine.execution_options(immediate=True)
    with sqlite_errors(), immediate.begin() as connection:
        yield connection
