"""Schema version and upgrades of the catalog."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

from imgsearch.catalog.sqlite_file import RESTORE_HINT, sqlite_errors
from imgsearch.errors import CatalogError, LibraryTooNew
from imgsearch.writing import make_durable, private_opener

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

HEAD = "0012"
"""The newest migration; a test checks that it equals Alembic's head."""


def version(engine: Engine) -> str | None:
    """The schema version; None for an empty file."""
    from sqlalchemy import inspect, text

    from imgsearch.catalog.engine import reading

    with reading(engine) as connection:
        tables = inspect(connection).get_table_names()
        if "alembic_version" not in tables:
            if tables:
                raise CatalogError(
                    "the file catalog.sqlite in the library folder belongs to another program",
                    "Choose another folder with --library DIR.",
                )
            return None
        number = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        return None if number is None else str(number)


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
    from alembic import command

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
        driver(connection).execute("PRAGMA foreign_keys=OFF")
        # While the table is missing, the view and the triggers that name it are dangling.
        driver(connection).execute("PRAGMA legacy_alter_table=ON")
        driver(connection).execute("PRAGMA journal_mode=WAL")
        try:
            with connection.execution_options(immediate=True).begin():
                command.upgrade(alembic_config(connection), "head")
                fill(connection)
                if connection.exec_driver_sql("PRAGMA foreign_key_check").first():
                    raise CatalogError("the upgraded catalog has dangling references", RESTORE_HINT)
        finally:
            connection.invalidate()


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
            driver(connection).backup(copy)
        make_durable(target)
    except (CatalogError, OSError):
        with suppress(OSError):
            os.remove(target)
        raise


def driver(connection: Connection) -> sqlite3.Connection:
    """The sqlite3 connection behind a SQLAlchemy connection."""
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    return raw
