"""Store the scores of unrelated queries, so that a score can be distinguished from chance.

Both tables are derived from the vectors and may be emptied at any time; the next run of the indexer
fills them again.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "reference_scores",
        sa.Column("space_id", sa.Integer, nullable=False),
        sa.Column("modality", sa.Text, nullable=False),
        sa.Column("location", sa.Float, nullable=False),
        sa.Column("scale", sa.Float, nullable=False),
        sa.Column("pictures", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("space_id", "modality", name="pk_reference_scores"),
        sa.ForeignKeyConstraint(
            ["space_id"], ["spaces.id"], name="fk_reference_scores_space_id_spaces"
        ),
    )
    op.create_table(
        "reference_texts",
        sa.Column("space_id", sa.Integer, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("vectors", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("space_id", name="pk_reference_texts"),
        sa.ForeignKeyConstraint(
            ["space_id"], ["spaces.id"], name="fk_reference_texts_space_id_spaces"
        ),
    )
