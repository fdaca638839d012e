"""Distinguish two histories of one catalog, and remember mount points.

A catalog restored from a backup assigns the same revisions again to other content. So every commit
gets a random token, and an index file records the token of its revision. Roots remember which of
their folders were mount points, so that an unmounted disk is noticed.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "commits",
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("token", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("revision", name="pk_commits"),
    )
    op.execute(
        "INSERT INTO commits (revision, token) "
        "SELECT revision, lower(hex(randomblob(8))) FROM library WHERE revision > 0"
    )
    with op.batch_alter_table("roots") as roots:
        roots.add_column(sa.Column("mounts", sa.JSON, nullable=False, server_default="[]"))
