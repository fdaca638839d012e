"""Keep which pictures `index` reads ("auto", "on", "off"), instead of whether it reads them.

A library that reads texts reads all of them, as before. One that does not may never have been
asked: the setting `ocr` decides until the first choice.

Revision ID: 0014
Revises: 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

# Texts are compared by code points, as SQLite does.
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    with op.batch_alter_table("library") as library:
        library.add_column(sa.Column("ocr", TEXT, nullable=False, server_default=""))
    op.execute("UPDATE library SET ocr = 'on' WHERE reads_texts")
    with op.batch_alter_table("library") as library:
        library.drop_column("reads_texts")
