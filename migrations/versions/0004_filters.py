"""Columns and indexes for filters: case-folded names and cameras, and an index for each field.

`name_key` is the file name and `camera_key` the make and model, both case-folded and in Unicode's
composed form (SQLite itself folds only ASCII letters). The indexes start with the status, so that
the index alone answers a filter on one field.

Revision ID: 0004
Revises: 0003
"""

import re
import unicodedata

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ESCAPE = re.compile("//([0-9a-f]{4})")  # a byte that is not UTF-8 in a stored path
INDEXES = (
    ["status", "taken_at", "mtime_ns"],
    ["status", "name_key"],
    ["status", "camera_key"],
    ["status", "format"],
    ["status", "width", "height"],
    ["status", "latitude", "longitude"],
)
NAMES = (
    "ix_images_status_taken_at",
    "ix_images_status_name_key",
    "ix_images_status_camera_key",
    "ix_images_status_format",
    "ix_images_status_width_height",
    "ix_images_status_latitude_longitude",
)


def upgrade() -> None:
    op.add_column(
        "images", sa.Column("name_key", sa.Text, nullable=False, server_default=sa.text("''"))
    )
    op.add_column("images", sa.Column("camera_key", sa.Text))
    connection = op.get_bind()
    found = sa.text("SELECT id, path, camera_make, camera_model FROM images ORDER BY id")
    changed = sa.text("UPDATE images SET name_key = :name, camera_key = :camera WHERE id = :id")
    for rows in connection.execute(found).partitions(10_000):
        connection.execute(changed, [keys(*row) for row in rows])
    op.drop_index("ix_images_taken_at", "images")
    for name, columns in zip(NAMES, INDEXES):
        op.create_index(name, "images", columns)


def keys(image_id, path, make, model):
    name = ESCAPE.sub("\ufffd", path).rpartition("/")[2]
    camera = " ".join(filter(None, (make, model)))
    return {"id": image_id, "name": folded(name), "camera": folded(camera) or None}


def folded(text):
    caseless = unicodedata.normalize("NFD", text.replace("\0", "\ufffd")).casefold()
    return unicodedata.normalize("NFC", caseless)
