"""Add what identifies a file, more of its metadata, and notes.

`ctime_ns` and `inode` distinguish a changed file from an unchanged one of the same size and mtime,
and `sidecar_stamp` does the same for the metadata files beside it; 0 is unknown. `metadata_version`
says which reader of metadata wrote the row: rows from before this migration have 0. MPO is JPEG
with more pictures in the file, and is called so.

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

NUMBERS = ("ctime_ns", "inode", "sidecar_stamp", "metadata_version")
TEXTS = ("taken_precision", "taken_source", "people", "city", "state", "country", "note")


def upgrade() -> None:
    for name in NUMBERS:
        op.add_column("images", number(name))
    for name in TEXTS:
        op.add_column("images", sa.Column(name, sa.Text))
    for name in ("utc_offset_minutes", "rating"):
        op.add_column("images", sa.Column(name, sa.Integer))
    for name in ("ctime_ns", "inode"):
        op.add_column("skipped", number(name))
    op.execute("UPDATE images SET taken_precision = 'second' WHERE taken_at IS NOT NULL")
    op.execute("UPDATE images SET format = 'JPEG' WHERE format = 'MPO'")
    op.create_index("ix_images_status_rating", "images", ["status", "rating"])


def number(name: str) -> sa.Column:
    return sa.Column(name, sa.Integer, nullable=False, server_default="0")
