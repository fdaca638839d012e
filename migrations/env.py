"""Run by Alembic: migrates the database behind the connection that the caller hands over."""

from alembic import context

from imgsearch.catalog.tables import metadata

FULL_TEXT = ("words", "letters")
"""Indexes that migrations make by hand: SQLAlchemy knows no virtual tables."""


def is_ours(name: str | None, kind: str, parents: object) -> bool:
    """False for the tables that SQLite keeps behind a full-text index."""
    return kind != "table" or not (name or "").startswith(FULL_TEXT)


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite changes a table by rebuilding it
    compare_type=True,
    include_name=is_ours,
)
context.run_migrations()
