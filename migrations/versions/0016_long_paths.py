"""Let PostgreSQL index paths of any length.

A key of a B-tree has at most 2704 bytes there, and a path of Linux up to 4095. So the indexes have
the beginnings of paths (`catalog.spellings.path_start`), by which they are found and read in order.
They are not unique: with one writer, who looks a path up before it is written, they need not be.
All other texts with a B-tree have a limit of their own: hashes, formats, dates, and folded names of
files, of cameras, of saved searches and of clusters.

SQLite has no such limit, and keeps its unique indexes.

Revision ID: 0016
Revises: 0015
"""

from alembic import op

from imgsearch.catalog.spellings import path_start

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

ON_SERVER = (
    "ALTER TABLE roots DROP CONSTRAINT IF EXISTS uq_roots_path",
    "ALTER TABLE images DROP CONSTRAINT IF EXISTS uq_images_root_id_path",
    "ALTER TABLE skipped DROP CONSTRAINT IF EXISTS uq_skipped_root_id_path",
    "CREATE INDEX IF NOT EXISTS ix_images_root_id_path_start"
    f" ON images (root_id, {path_start('path')})",
    "CREATE INDEX IF NOT EXISTS ix_skipped_root_id_path_start"
    f" ON skipped (root_id, {path_start('path')})",
)


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        for statement in ON_SERVER:
            op.execute(statement)
