"""Schema version and upgrades of the catalog."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from imgsearch.catalog.spellings import Plain
from imgsearch.catalog.sqlite_file import RESTORE_HINT, sqlite_errors
from imgsearch.errors import CatalogError, LibraryTooNew
from imgsearch.writing import make_durable, private_opener

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

HEAD = "0017"
"""The newest migration; a test checks that it equals Alembic's head."""


def version(engine: Engine) -> str | None:
    """The schema version; None for an empty file."""
    from sqlalchemy import text

    from imgsearch.catalog.engine import reading

    with reading(engine) as connection:
        tables = table_names(connection)
        if "alembic_version" not in tables:
            if tables:
                raise _foreign(connection)
            return None
        number = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        return None if number is None else str(number)


_SERVER_TABLES = (
    "SELECT relname FROM pg_class"
    " WHERE relnamespace = to_regnamespace('imgsearch') AND relkind = 'r'"
)


def table_names(connection: Connection) -> list[str]:
    """The tables of the catalog."""
    from sqlalchemy import inspect

    from imgsearch.catalog.dialects import on_server

    if on_server(connection):
        return list(connection.exec_driver_sql(_SERVER_TABLES).scalars())
    return inspect(connection).get_table_names()


def _foreign(connection: Connection) -> CatalogError:
    from imgsearch.catalog.dialects import on_server

    if on_server(connection):
        return CatalogError(
            "the schema imgsearch of the database belongs to another program",
            "Choose another database with --catalog URL.",
        )
    return CatalogError(
        "the file catalog.sqlite in the library folder belongs to another program",
        "Choose another folder with --library DIR.",
    )


def require_known(version: str | None) -> None:
    """Raise `LibraryTooNew` for a version that this program does not know.

    Versions are numbers with leading zeros, so they compare as text.
    """
    if version is not None and version > HEAD:
        raise LibraryTooNew(
            f"this library was written by a newer version of imgsearch (schema {version}; "
            f"this program supports up to {HEAD})",
            "Update imgsearch and try again; the library has not been changed.",
        )


def upgrade(engine: Engine, path: str, fill: Callable[[Connection], None]) -> None:
    """Create or upgrade the schema in one transaction; a copy of an older catalog is kept.

    The caller must hold the writer lock.

    Parameters
    ----------
    fill : callable
        Inserts the rows that every catalog has, in the same transaction: a process killed in
        between would leave a catalog of the current version that cannot be opened.
    """
    current = version(engine)
    require_known(current)
    if current == HEAD:
        return
    if current is not None:
        _keep_copy(engine, f"{path}.before-{HEAD}")
    with sqlite_errors(), engine.connect() as connection:
        # A migration may rebuild a table, and dropping the old one would delete the rows that
        # refer to it. The pragma has no effect inside a transaction, so it bypasses SQLAlchemy,
        # which would begin one.
        sqlite_driver(connection).execute("PRAGMA foreign_keys=OFF")
        # While the table is missing, the view and the triggers that name it are dangling.
        sqlite_driver(connection).execute("PRAGMA legacy_alter_table=ON")
        sqlite_driver(connection).execute("PRAGMA journal_mode=WAL")
        try:
            with connection.execution_options(immediate=True).begin():
                _migrate(connection, current)
                fill(connection)
                if connection.exec_driver_sql("PRAGMA foreign_key_check").first():
                    raise CatalogError("the upgraded catalog has dangling references", RESTORE_HINT)
        finally:
            connection.invalidate()


def _migrate(connection: Connection, current: str | None) -> None:
    """Bring a file to the newest version; an empty one begins with a later version than 0001."""
    if current is None:
        baseline = import_module("imgsearch.migrations.sqlite_0017")
        for statement in baseline.STATEMENTS:
            connection.exec_driver_sql(statement)
        current = baseline.BASELINE
    if current != HEAD:
        from alembic import command  # a first index does not wait for it

        command.upgrade(alembic_config(connection), "head")


def upgrade_server(engine: Engine, fill: Callable[[Connection], None]) -> None:
    """Create or upgrade the schema on PostgreSQL in one transaction; see `upgrade`."""
    from alembic import command

    from imgsearch.catalog import server_words
    from imgsearch.catalog.engine import catalog_errors

    baseline = import_module("imgsearch.migrations.postgresql_0012")
    current = version(engine)
    require_known(current)
    if current == HEAD:
        return
    with catalog_errors(engine), engine.begin() as connection:
        config = alembic_config(connection)
        if current is None:
            raw: Any = connection.connection.driver_connection  # which takes many statements
            raw.execute("CREATE SCHEMA IF NOT EXISTS imgsearch")
            raw.execute(baseline.TABLES)
            raw.execute(baseline.TRIGGERS)
            command.stamp(config, baseline.BASELINE)
        command.upgrade(config, "head")
        server_words.write(connection)  # of the images that a migration has declared due
        fill(connection)


def alembic_config(connection: Connection | None = None) -> Any:
    """The Alembic configuration for our migrations, wherever they are installed."""
    from importlib import resources

    from alembic.config import Config

    config = Config()
    folder = str(resources.files("imgsearch.migrations"))
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _keep_copy(engine: Engine, target: str) -> None:
    if os.path.exists(target):
        os.remove(target)
    try:
        open(target, "xb", opener=private_opener).close()
        with (
            sqlite_errors(),
            engine.connect() as connection,
            closing(sqlite3.connect(os.fsencode(target))) as copy,
        ):
            copy.execute("PRAGMA synchronous=FULL")
            sqlite_driver(connection).backup(copy)
        make_durable(target)
    except (CatalogError, OSError):
        with suppress(OSError):
            os.remove(target)
        raise


def sqlite_driver(connection: Connection) -> sqlite3.Connection:
    """The sqlite3 connection behind a SQLAlchemy connection."""
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    return raw


def driver(connection: Connection) -> Plain:
    """What runs plain queries behind a SQLAlchemy connection."""
    from imgsearch.catalog.dialects import on_server

    if not on_server(connection):
        return sqlite_driver(connection)
    from imgsearch.catalog.postgresql import PlainConnection

    return PlainConnection(connection.connection.driver_connection)  # type: ignore[arg-type]
