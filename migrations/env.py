"""Run by Alembic: migrates the database behind the connection that the caller hands over."""

from alembic import context

from imgsearch.catalog.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite changes a table by rebuilding it
    compare_type=True,
)
context.run_migrations()
