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


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite changes a table by rebuilding it
    compare_type=True,
    include_name=is_ours,
)
context.run_migrations()
