"""Bring a library's schema up to date, or say why that is not possible."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

from imgsearch.catalog.sqlite_file import RESTORE, told
from imgsearch.errors import CatalogError, LibraryTooNew

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

HEAD = "0007"
"""The newest migration; the same as Alembic's head, which a test checks."""


def version(engine: Engine) -> str | None:
    """The schema's version, None for an empty file."""
    from sqlalchemy import inspect, text

    from imgsearch.catalog.engine import reading

    with reading(engine) as connection:
        tables = inspect(connection).get_table_names()
        if "alembic_version" not in tables:
            if tables:
                raise CatalogError(
                    "the file catalog.sqlite in the library folder is of another program",
                    "Choose another folder with --library DIR.",
                )
            return None
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        return None if found is None else str(found)


def require_known(found: str | None) -> None:
    """Raise `LibraryTooNew` for a version that this program does not know.

    Versions are numbers with leading zeros, so that they compare as text.
    """
    if found is not None and found > HEAD:
        raise LibraryTooNew(
            f"this library was written by a newer version of imgsearch (schema {found}; "
            f"this program knows up to {HEAD})",
            "Update imgsearch and try again; the library was not touched.",
        )


def upgrade(engine: Engine, path: str, fill: Callable[[Connection], None]) -> None:
    """Create or upgrade the schema, in one transaction; a copy of an older catalog is kept.

    Only to be called with the writer lock held.

    Parameters
    ----------
    fill : callable
        Puts in the rows that every catalog has, in the same transaction: a process killed
        between the two would leave a catalog of the right version that cannot be opened.
    """
    from alembic import command

    found = version(engine)
    require_known(found)
    if found == HEAD:
        return
    if found is not None:
        _keep_copy(engine, f"{path}.before-{HEAD}")
    with told(), engine.connect() as connection:
        # A migration may rebuild a table, and dropping the old one would take the rows with it
        # that point there. The pragma does nothing inside a transaction, so it goes around
        # SQLAlchemy, which would begin one.
        driver(connection).execute("PRAGMA foreign_keys=OFF")
        # And while it is away, the view and the triggers that name it point nowhere.
        driver(connection).execute("PRAGMA legacy_alter_table=ON")
        driver(connection).execute("PRAGMA journal_mode=WAL")
        try:
            with connection.execution_options(immediate=True).begin():
                command.upgrade(alembic_config(connection), "head")
                fill(connection)
                if connection.exec_driver_sql("PRAGMA foreign_key_check").first():
                    raise CatalogError("the upgraded catalog has rows that point nowhere", RESTORE)
        finally:
            connection.invalidate()


def alembic_config(connection: Connection | None = None) -> Any:
    """Alembic's configuration for our migrations, wherever they are installed."""
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
        with (
            told(),
            engine.connect() as connection,
            closing(sqlite3.connect(os.fsencode(target))) as copy,
        ):
            driver(connection).backup(copy)
    except CatalogError:
        with suppress(OSError):
            os.remove(target)
        raise


def driver(connection: Connection) -> sqlite3.Connection:
    """The connection of the sqlite3 module behind one of SQLAlchemy."""
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    return raw
