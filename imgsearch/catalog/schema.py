"""Bring a library's schema up to date, or say why that is not possible."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import resources
from typing import Any

from sqlalchemy import Connection, Engine, inspect, text

from imgsearch.catalog.engine import reading, told
from imgsearch.errors import LibraryTooNew

HEAD = "0002"
"""The newest migration; the same as Alembic's head, which a test checks."""


def version(engine: Engine) -> str | None:
    """The schema's version, None for an empty file."""
    with reading(engine) as connection:
        if not inspect(connection).has_table("alembic_version"):
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
    # Tables are rebuilt during a migration: foreign keys are checked again at its end.
    with told(), engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
        connection.rollback()
        try:
            with connection.execution_options(immediate=True).begin():
                command.upgrade(alembic_config(connection), "head")
                fill(connection)
        finally:
            connection.invalidate()


def alembic_config(connection: Connection | None = None) -> Any:
    """Alembic's configuration for our migrations, wherever they are installed."""
    from alembic.config import Config

    config = Config()
    folder = str(resources.files("imgsearch.migrations"))
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _keep_copy(engine: Engine, target: str) -> None:
    if os.path.exists(target):
        os.remove(target)
    with told(), engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        raw.execute("VACUUM INTO ?", (target,))
