"""Add titles, descriptions and keywords of images, and full-text indexes over them.

The two indexes are external-content FTS5 tables: triggers keep them in step with every change of
`images`. Images indexed earlier have no titles until they are read again.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

COLUMNS = ("path", "camera_make", "camera_model", "title", "description", "keywords")
INDEXES = {
    "words": "porter unicode61 remove_diacritics 2",
    "letters": "trigram",
}


def upgrade() -> None:
    for name in ("title", "description", "keywords"):
        op.add_column("images", sa.Column(name, sa.Text))
    names = ", ".join(COLUMNS)
    for table, tokenizer in INDEXES.items():
        op.execute(
            f"CREATE VIRTUAL TABLE {table} USING fts5({names}, "
            f"content='images', content_rowid='id', tokenize='{tokenizer}')"
        )
        op.execute(f"INSERT INTO {table}({table}) VALUES ('rebuild')")
    new = ", ".join(f"new.{name}" for name in COLUMNS)
    old = ", ".join(f"old.{name}" for name in COLUMNS)
    put = "".join(f"INSERT INTO {t}(rowid, {names}) VALUES (new.id, {new}); " for t in INDEXES)
    drop = "".join(
        f"INSERT INTO {t}({t}, rowid, {names}) VALUES ('delete', old.id, {old}); "
        for t in INDEXES
    )
    op.execute(f"CREATE TRIGGER images_insert AFTER INSERT ON images BEGIN {put}END")
    op.execute(f"CREATE TRIGGER images_delete AFTER DELETE ON images BEGIN {drop}END")
    op.execute(
        f"CREATE TRIGGER images_update AFTER UPDATE OF {names} ON images BEGIN {drop}{put}END"
    )
