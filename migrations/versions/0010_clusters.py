"""Keep clusters: groups of pictures by content, with a name, on two levels.

They are made from stored vectors by `imgsearch clusters`; deleting them loses their ids only.

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "clusterings",
        sa.Column("space_id", sa.Integer, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("pictures", sa.Integer, nullable=False),
        sa.Column("threshold", sa.Float, nullable=False),
        sa.Column("words_digest", sa.Text, nullable=False),
        sa.Column("words", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("space_id", name="pk_clusterings"),
        sa.ForeignKeyConstraint(
            ["space_id"], ["spaces.id"], name="fk_clusterings_space_id_spaces"
        ),
    )
    op.create_table(
        "clusters",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("space_id", sa.Integer, nullable=False),
        sa.Column("parent_id", sa.Integer),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("name_key", sa.Text, nullable=False),
        sa.Column("medoid_id", sa.Integer, nullable=False),
        sa.Column("mean", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_clusters"),
        sa.ForeignKeyConstraint(["space_id"], ["spaces.id"], name="fk_clusters_space_id_spaces"),
        sa.ForeignKeyConstraint(
            ["parent_id"], ["clusters.id"], name="fk_clusters_parent_id_clusters"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_clusters_name_key", "clusters", ["name_key"])
    op.create_index("ix_clusters_parent_id", "clusters", ["parent_id"])
    op.create_table(
        "cluster_members",
        sa.Column("space_id", sa.Integer, nullable=False),
        sa.Column("image_id", sa.Integer, nullable=False),
        sa.Column("cluster_id", sa.Integer),
        sa.PrimaryKeyConstraint("space_id", "image_id", name="pk_cluster_members"),
        sa.ForeignKeyConstraint(
            ["space_id"], ["spaces.id"], name="fk_cluster_members_space_id_spaces"
        ),
        sa.ForeignKeyConstraint(
            ["image_id"],
            ["images.id"],
            name="fk_cluster_members_image_id_images",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["cluster_id"], ["clusters.id"], name="fk_cluster_members_cluster_id_clusters"
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_cluster_members_cluster_id", "cluster_members", ["cluster_id"])
    op.create_index("ix_cluster_members_image_id", "cluster_members", ["image_id"])
