"""SQLAlchemy's way to the SQLite file: explicit transactions, of reading or of writing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, create_engine, event

from imgsearch.catalog.sqlite_file import connect, told


def open_engine(path: str) -> Engine:
    """An engine for the SQLite file at `path`, with connections as `file.connect` makes them."""
    engine = create_engine("sqlite+pysqlite://", creator=lambda: connect(path))
    event.listen(engine, "begin", _begin)
    return engine


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
