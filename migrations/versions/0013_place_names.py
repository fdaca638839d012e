"""Add names of places by position.

The names stand in `city`, `state` and `country`, where words and filters find them, and
`gazetteer_fields` says which of them are not statements of the file. Images that are in the catalog
already get theirs in the next run of the indexer, from their stored positions.

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

LOCATED = sa.text("latitude IS NOT NULL")


def upgrade() -> None:
    kind = sa.Text()
    number = sa.Integer()
    if op.get_bind().dialect.name == "postgresql":
        kind, number = sa.Text(collation="C"), sa.BigInteger()
    op.add_column("images", sa.Column("country_code", kind))
    op.add_column("images", sa.Column("gazetteer_fields", kind))
    op.add_column(
        "images", sa.Column("gazetteer_version", number, nullable=False, server_default="0")
    )
    op.create_index(
        "ix_images_gazetteer_version",
        "images",
        ["gazetteer_version", "id"],
        sqlite_where=LOCATED,
        postgresql_where=LOCATED,
    )
