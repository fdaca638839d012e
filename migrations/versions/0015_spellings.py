"""Write the words, labels and keys of all pictures again, by the rules of folding of this version.

Stored words follow the rules of the version that wrote them, so a change of `word_forms` or
`text_keys` needs a migration like this one: `upgrade` of this module can be called again.

Revision ID: 0015
Revises: 0014
"""

from importlib import import_module

import sqlalchemy as sa
from alembic import op

from imgsearch.filters.text_keys import folded

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    connection = op.get_bind()
    for name in ("name_key", "camera_key"):
        rows = connection.execute(sa.text(f"SELECT DISTINCT {name} FROM images"))
        keys = {key: folded(key) for key in rows.scalars() if key and not key.isascii()}
        changed = [{"old": key, "new": new} for key, new in keys.items() if new != key]
        if changed:
            connection.execute(
                sa.text(f"UPDATE images SET {name} = :new WHERE {name} = :old"), changed
            )
    if connection.dialect.name == "postgresql":  # which writes them at the end of the transaction
        op.execute("INSERT INTO words_due SELECT id FROM images ON CONFLICT DO NOTHING")
        return
    words = import_module("imgsearch.migrations.versions.0009_folded_words")
    op.execute("DELETE FROM words")
    op.execute(words.ROWS)
    op.execute("DELETE FROM labels")
    for name in words.LABELS:
        op.execute(words.labels_of("images", name))
