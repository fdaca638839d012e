"""A catalog on PostgreSQL: connections, the lock of its one writer, and plain queries.

All of it lies in the schema `imgsearch` of a database, which holds one library. SQLAlchemy is
imported when an engine is opened, so that `overview` works without it.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from imgsearch.catalog.spellings import for_postgresql
from imgsearch.errors import CatalogServerError, LibraryBusy, LibraryMissing, MissingExtra

try:
    import psycopg
    from psycopg.types.string import StrDumperUnknown

    from imgsearch.postgresql import Connection, Database
except ImportError as error:
    raise MissingExtra("a catalog on PostgreSQL", "postgres") from error

if TYPE_CHECKING:
    from sqlalchemy import Connection as SqlConnection
    from sqlalchemy import Engine

SCHEMA = "imgsearch"
MIN_VERSION = 13
"""Older ones are refused; the tests run on 18."""
LOCK = 0x696D6773
"""The key of the advisory lock of the writer: "imgs"."""
POLL_SECONDS = 0.05
MAX_IDLE_SECONDS = 0.1
"""A connection that was used later than that is not checked before it is used again."""
_HOLDER = (
    "SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid)"
    " WHERE locktype = 'advisory' AND granted AND objid = %s"
    " AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


class _TextDumper(StrDumperUnknown):
    """A text without NUL, which PostgreSQL cannot store."""

    def dump(self, obj: str) -> Any:
        return super().dump(obj.replace("\0", "\ufffd"))


class CatalogServer(Database):
    """The database of a catalog.

    Parameters
    ----------
    url : str
        As libpq takes it.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url, "catalog", CatalogServerError, "everything committed so far is kept")

    def open(self, **options: Any) -> Connection:
        """A new connection that sees the tables of the catalog; raises psycopg's errors."""
        connection = self.connect(
            application_name=f"imgsearch {own_name()}"[:63],
            options=f"{self.options} -c search_path={SCHEMA} -c client_encoding=UTF8".strip(),
            **options,
        )
        connection.adapters.register_dumper(str, _TextDumper)
        version = connection.info.server_version // 10_000
        if version < MIN_VERSION:
            connection.close()
            raise CatalogServerError(
                f"{self.address} is PostgreSQL {version}, which is too old",
                f"A catalog needs PostgreSQL {MIN_VERSION} or later.",
            )
        return connection

    def open_plain(self) -> tuple[PlainConnection, str | None]:
        """A connection in a transaction that only reads, and the version of the schema."""
        connection = self.open()
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        try:
            with suppress(psycopg.errors.UndefinedTable):
                row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
                return PlainConnection(connection), None if row is None else str(row[0])
            connection.rollback()
            return PlainConnection(connection), None
        except BaseException:
            connection.close()
            raise

    def engine(self) -> Engine:
        """An engine of SQLAlchemy for the catalog. Connections that the server has closed are
        replaced when they are taken from the pool."""
        from sqlalchemy import create_engine, event

        engine = create_engine(
            "postgresql+psycopg://", creator=self.open, execution_options={"server": self}
        )
        event.listen(engine, "checkin", _note_time)
        event.listen(engine, "checkout", _require_alive)
        return engine

    def missing(self) -> LibraryMissing:
        """The error for a database without a library."""
        return LibraryMissing(
            f"there is no library in {self.address}",
            "Make one: imgsearch index FOLDER-OF-PICTURES --catalog URL. One that lies in a folder"
            " is copied by 'imgsearch migrate'.",
        )

    def described(self, connection: Connection, version: str) -> str:
        """The server in words, with the version of the schema."""
        number = connection.info.server_version
        engine = f"PostgreSQL {number // 10_000}.{number % 10_000}"
        return f"{engine} at {self.address}, schema {version}"

    # Writing

    @contextmanager
    def lock(self, wait_s: float = 0.0) -> Iterator[Connection]:
        """Hold the lock of the writer, in a session of its own.

        The server releases it when the process ends for any reason.

        Raises
        ------
        LibraryBusy
            Another process still holds it after `wait_s`; the message says which.
        """
        with self.translated():
            connection = self.open(autocommit=True)
        with closing(connection):
            with self.translated():
                self._take(connection, time.monotonic() + wait_s)
            try:
                yield connection
            finally:
                # A pooler would keep the session, and the lock with it.
                with suppress(psycopg.Error):
                    connection.execute("SELECT pg_advisory_unlock(%s)", (LOCK,))

    def _take(self, connection: Connection, until: float) -> None:
        while True:
            row = connection.execute("SELECT pg_try_advisory_lock(%s)", (LOCK,)).fetchone()
            if row is not None and row[0]:
                return
            if time.monotonic() >= until:
                raise _busy(connection)
            time.sleep(POLL_SECONDS)

    @contextmanager
    def writer_lock(self, wait_s: float = 0.0) -> Iterator[Callable[[SqlConnection], None]]:
        """Hold the lock of the writer, with the next epoch.

        Yields a function that raises `LibraryBusy` if the transaction of a connection belongs to
        another epoch: after the server was away, or behind a pooler, another process may have taken
        the lock. The row stays locked until the transaction ends, so no epoch begins within it.
        """
        with self.lock(wait_s) as connection:
            with self.translated():
                query = "UPDATE writer SET epoch = epoch + 1, holder = %s RETURNING epoch"
                row = connection.execute(query, (own_name(),)).fetchone()
            assert row is not None
            own = row[0]

            def require_held(transaction: SqlConnection) -> None:
                query = "SELECT epoch, holder FROM writer FOR SHARE"
                epoch, holder = transaction.exec_driver_sql(query).one()
                if epoch != own:
                    raise LibraryBusy(
                        f"process {holder} has begun to write to this library meanwhile",
                        "See that there is only one writer, and run the command again."
                        " Everything committed so far is kept.",
                    )

            yield require_held


def _note_time(connection: Connection, record: Any) -> None:
    record.info["used"] = time.monotonic()


def _require_alive(connection: Connection, record: Any, proxy: Any) -> None:
    """Replace a connection that has idled and does not answer; asking each time would be slow."""
    from sqlalchemy.exc import DisconnectionError

    if time.monotonic() - record.info.get("used", float("inf")) < MAX_IDLE_SECONDS:
        return
    try:
        connection.execute("SELECT 1")
        connection.rollback()
    except psycopg.OperationalError as error:
        raise DisconnectionError from error


def _busy(connection: Connection) -> LibraryBusy:
    row = connection.execute(_HOLDER, (LOCK,)).fetchone()
    holder = row[0].removeprefix("imgsearch ") if row else ""
    return LibraryBusy(
        "another process is writing to this library: "
        + (f"process {holder}" if holder else "the process is unknown"),
        "Wait until it has finished, or stop it, and run the command again. "
        "Searching works in the meantime.",
    )


def own_name() -> str:
    """This process for others: pid@host."""
    return f"{os.getpid()}@{socket.gethostname()}"


class PlainConnection:
    """A connection with the one method that plain queries need of the sqlite3 module's.

    Queries are in SQLite's spelling.
    """

    def __init__(self, connection: Connection) -> None:
        self.raw = connection

    def execute(self, query: str, values: Sequence[object] = ()) -> Any:
        """Run a query with a value for each question mark; returns a cursor of psycopg."""
        return self.raw.execute(_spelled(query), tuple(values))

    def close(self) -> None:
        """Close the connection."""
        self.raw.close()


def _spelled(query: str) -> str:
    return for_postgresql(query).replace("%", "%%").replace("?", "%s")
