"""The first schema.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "spaces",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("revision", sa.Text, nullable=False),
        sa.Column("preprocessing", sa.Text, nullable=False),
        sa.Column("dimension", sa.Integer, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_spaces"),
        sa.UniqueConstraint("key", name="uq_spaces_key"),
    )
    op.create_table(
        "library",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("uuid", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("purge_floor", sa.Integer, nullable=False),
        sa.Column("default_space_id", sa.Integer),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_library"),
        sa.ForeignKeyConstraint(
            ["default_space_id"], ["spaces.id"], name="fk_library_default_space_id_spaces"
        ),
        sa.CheckConstraint("id = 1", name="ck_library_one_row"),
    )
    op.create_table(
        "roots",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("exclude", sa.JSON, nullable=False),
        sa.Column("hidden", sa.Boolean, nullable=False),
        sa.Column("added_at", sa.DateTime, nullable=False),
        sa.Column("scanned_at", sa.DateTime),
        sa.PrimaryKeyConstraint("id", name="pk_roots"),
        sa.UniqueConstraint("path", name="uq_roots_path"),
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("space_id", sa.Integer, nullable=False),
        sa.Column("precision", sa.Text, nullable=False),
        sa.Column("started_at", sa.DateTime, nullable=False),
        sa.Column("finished_at", sa.DateTime),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("counts", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
        sa.ForeignKeyConstraint(["space_id"], ["spaces.id"], name="fk_runs_space_id_spaces"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "images",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("root_id", sa.Integer, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("mtime_ns", sa.Integer, nullable=False),
        sa.Column("content_hash", sa.Text, nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("format", sa.Text, nullable=False),
        sa.Column("orientation", sa.Integer, nullable=False),
        sa.Column("taken_at", sa.DateTime),
        sa.Column("camera_make", sa.Text),
        sa.Column("camera_model", sa.Text),
        sa.Column("latitude", sa.Float),
        sa.Column("longitude", sa.Float),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("added_at", sa.DateTime, nullable=False),
        sa.Column("gone_at", sa.DateTime),
        sa.PrimaryKeyConstraint("id", name="pk_images"),
        sa.ForeignKeyConstraint(["root_id"], ["roots.id"], name="fk_images_root_id_roots"),
        sa.UniqueConstraint("root_id", "path", name="uq_images_root_id_path"),
        sa.CheckConstraint(
            "status IN ('present', 'gone', 'unreadable')", name="ck_images_status"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_images_content_hash_status", "images", ["content_hash", "status"])
    op.create_index("ix_images_size", "images", ["size"])
    op.create_index("ix_images_taken_at", "images", ["taken_at"])
    op.create_index("ix_images_status_gone_at", "images", ["status", "gone_at"])
    op.create_table(
        "embeddings",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("space_id", sa.Integer, nullable=False),
        sa.Column("image_id", sa.Integer, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("vector", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_embeddings"),
        sa.ForeignKeyConstraint(
            ["space_id"], ["spaces.id"], name="fk_embeddings_space_id_spaces"
        ),
        sa.ForeignKeyConstraint(
            ["image_id"],
            ["images.id"],
            name="fk_embeddings_image_id_images",
            ondelete="CASCADE",
        ),
        sa.UniqueConstraint("image_id", "space_id", name="uq_embeddings_image_id_space_id"),
    )
    op.create_index("ix_embeddings_space_id_revision", "embeddings", ["space_id", "revision"])
    op.create_table(
        "tombstones",
        sa.Column("space_id", sa.Integer, nullable=False),
        sa.Column("image_id", sa.Integer, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("space_id", "image_id", name="pk_tombstones"),
        sa.ForeignKeyConstraint(
            ["space_id"], ["spaces.id"], name="fk_tombstones_space_id_spaces"
        ),
    )
    op.create_index("ix_tombstones_space_id_revision", "tombstones", ["space_id", "revision"])
    op.create_table(
        "skipped",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("root_id", sa.Integer, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("mtime_ns", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("transient", sa.Boolean, nullable=False),
        sa.Column("decoder", sa.Text, nullable=False),
        sa.Column("run_id", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_skipped"),
        sa.ForeignKeyConstraint(["root_id"], ["roots.id"], name="fk_skipped_root_id_roots"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_skipped_run_id_runs"),
        sa.UniqueConstraint("root_id", "path", name="uq_skipped_root_id_path"),
    )
