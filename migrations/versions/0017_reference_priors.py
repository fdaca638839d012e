"""Keep what the model says about each reference text beside its vector.

The false matches that a library promises depend on the log-odds of the reference texts, of which
the model adds a part. Texts without it are encoded again by the next run.

Revision ID: 0017
Revises: 0016
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("reference_texts", sa.Column("priors", sa.LargeBinary))
