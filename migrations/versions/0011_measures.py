"""Add what the pixels of images measure, by content hash.

Images that are in the catalog already have no measures: `imgsearch index --measure` takes them. A
row is deleted together with the last image that has its bytes.

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

NUMBERS = ("sharpness", "brightness", "shadows", "highlights", "contrast", "colourfulness")
ORPHAN = (
    "DELETE FROM measures WHERE content_hash = old.content_hash AND NOT EXISTS "
    "(SELECT 1 FROM images WHERE content_hash = old.content_hash); "
)


def upgrade() -> None:
    op.create_table(
        "measures",
        sa.Column("content_hash", sa.Text, nullable=False),
        *(sa.Column(name, sa.Float, nullable=False) for name in NUMBERS),
        sa.Column("kind", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("content_hash", name="pk_measures"),
        sqlite_with_rowid=False,
    )
    op.execute(f"CREATE TRIGGER measures_delete AFTER DELETE ON images BEGIN {ORPHAN}END")
    op.execute(
        "CREATE TRIGGER measures_update AFTER UPDATE OF content_hash ON images "
        f"WHEN old.content_hash IS NOT new.content_hash BEGIN {ORPHAN}END"
    )
