"""Store the document instruction of a space; that of gme was part of its preprocessing.

Revision ID: 0003
Revises: 0002
"""

import hashlib

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_GME = "You are a helpful assistant."
_WITHIN = f", documents as {_GME!r}"


def upgrade() -> None:
    with op.batch_alter_table("spaces") as spaces:
        spaces.add_column(sa.Column("instruction", sa.Text, nullable=False, server_default=""))
    connection = op.get_bind()
    rows = connection.execute(
        sa.text("SELECT id, model, revision, preprocessing, dimension FROM spaces")
    ).all()
    for row in rows:
        if _WITHIN not in row.preprocessing:
            continue
        preprocessing = row.preprocessing.replace(_WITHIN, "")
        # Like `EmbeddingSpace.key`, except for a folder whose name is not UTF-8: such a space gets
        # a key that nothing refers to, and its images are encoded again.
        parts = (row.model, row.revision, preprocessing, str(row.dimension), _GME)
        key = hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:12]
        connection.execute(
            sa.text(
                "UPDATE spaces SET key = :key, preprocessing = :preprocessing, instruction = :told"
                " WHERE id = :id"
            ),
            {"key": key, "preprocessing": preprocessing, "told": _GME, "id": row.id},
        )
