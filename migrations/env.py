"""Run by Alembic: migrates the database of the connection passed by the caller."""

from alembic import context
from imgsearch.migrations.postgresql_0012 import OWN

from imgsearch.catalog.tables import metadata

FULL_TEXT = ("words", "letters")
"""Indexes that migrations create in plain SQL, as SQLAlchemy does not support virtual tables."""


def is_ours(name: str | None, kind: str, parents: object) -> bool:
    """False for what only one of the databases has, such as tables of a full-text index."""
    if kind == "table":
        return name not in OWN and not (name or "").startswith(FULL_TEXT)
    return kind != "index" or name not in OWN


def is_on_both(entry: object, name: str | None, kind: str, *other: object) -> bool:
    """False for the unique paths of SQLite, which PostgreSQL cannot index (see 0016)."""
    return kind != "unique_constraint" or on_sqlite or not (name or "").endswith("_path")


connection = context.config.attributes["connection"]
on_sqlite = connection.dialect.name == "sqlite"
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_as_batch=True,  # SQLite changes a table by rebuilding it
    compare_type=True,
    include_name=is_ours,
    include_object=is_on_both,
)
context.run_migrations()
