"""SQLAlchemy engines, with explicit read and write transactions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from sqlalchemy import Connection, Engine, create_engine, event

from imgsearch.catalog import server_words
from imgsearch.catalog.dialects import on_server
from imgsearch.catalog.sqlite_file import connect, sqlite_errors


def open_engine(path: str) -> Engine:
    """An engine for the SQLite file at `path`, with connections made by `sqlite_file.connect`."""
    engine = create_engine("sqlite+pysqlite://", creator=lambda: connect(path))
    event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: Connection) -> None:
    """Begin a transaction; a writer takes the write lock first, so that it cannot fail halfway."""
    immediate = connection.get_execution_options().get("immediate", False)
    if immediate:
        _require_held(connection)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _require_held(connection: Connection) -> None:
    """Raise `LibraryBusy` if this process writes although another one holds the lock by now."""
    if require_held := connection.get_execution_options().get("require_held"):
        require_held(connection)


def catalog_errors(engine: Engine) -> AbstractContextManager[None]:
    """Within it, errors of the database are a `CatalogError`."""
    server = engine.get_execution_options().get("server")
    return sqlite_errors() if server is None else server.translated()


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A read transaction: every statement in it sees the same state."""
    if on_server(engine):
        engine = engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
    with catalog_errors(engine), engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A write transaction: all or nothing."""
    immediate = engine.execution_options(immediate=True)
    with catalog_errors(engine), immediate.begin() as connection:
        if not on_server(engine):
            yield connection
            return
        _require_held(connection)
        yield connection
        server_words.write(connection)
