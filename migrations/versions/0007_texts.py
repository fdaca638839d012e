"""Add the texts in images, by content hash, to the full-text indexes.

The indexes are rebuilt over a view that joins an image with its text. Triggers on both tables keep
them in step, and delete a text together with the last image that has its bytes.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

COLUMNS = ("path", "camera_make", "camera_model", "title", "description", "keywords")
INDEXES = {
    "words": "porter unicode61 remove_diacritics 2",
    "letters": "trigram",
}
NAMES = ", ".join(COLUMNS)
VIEW = (
    f"CREATE VIEW searchable AS SELECT images.id, {NAMES}, texts.text AS text "
    "FROM images LEFT JOIN texts ON texts.content_hash = images.content_hash"
)


def upgrade() -> None:
    with op.batch_alter_table("library") as library:
        library.add_column(
            sa.Column("reads_texts", sa.Boolean, nullable=False, server_default="0")
        )
    op.create_table(
        "texts",
        sa.Column("content_hash", sa.Text, nullable=False),
        sa.Column("engine", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("content_hash", name="pk_texts"),
    )
    for change in ("insert", "delete", "update"):
        op.execute(f"DROP TRIGGER images_{change}")
    op.execute(VIEW)
    for table, tokenizer in INDEXES.items():
        op.execute(f"DROP TABLE {table}")
        op.execute(
            f"CREATE VIRTUAL TABLE {table} USING fts5({NAMES}, text, "
            f"content='searchable', content_rowid='id', tokenize='{tokenizer}')"
        )
        op.execute(f"INSERT INTO {table}({table}) VALUES ('rebuild')")
    for trigger in triggers():
        op.execute(trigger)


def triggers() -> list[str]:
    """The triggers that update the indexes with every change of an image or a text."""
    put, drop = _of_picture("new"), _of_picture("old", drop=True)
    orphan = (
        "DELETE FROM texts WHERE content_hash = old.content_hash AND NOT EXISTS "
        "(SELECT 1 FROM images WHERE content_hash = old.content_hash); "
    )
    # A file that was only touched is written with its previous hash.
    differs = " OR ".join(f"old.{name} IS NOT new.{name}" for name in (*COLUMNS, "content_hash"))
    changed = f"UPDATE OF {NAMES}, content_hash ON images WHEN {differs}"
    enter, leave = _of_text("new", "new.text"), _of_text("old", "old.text", drop=True)
    unread, read = _of_text("old", "NULL"), _of_text("new", "NULL", drop=True)
    return [
        f"CREATE TRIGGER images_insert AFTER INSERT ON images BEGIN {put}END",
        f"CREATE TRIGGER images_delete AFTER DELETE ON images BEGIN {drop}{orphan}END",
        f"CREATE TRIGGER images_update AFTER {changed} BEGIN {drop}{put}{orphan}END",
        f"CREATE TRIGGER texts_insert AFTER INSERT ON texts BEGIN {read}{enter}END",
        f"CREATE TRIGGER texts_delete AFTER DELETE ON texts BEGIN {leave}{unread}END",
        f"CREATE TRIGGER texts_update AFTER UPDATE OF text ON texts BEGIN {leave}{enter}END",
    ]


def _of_picture(state: str, drop: bool = False) -> str:
    """SQL that adds an image row to the indexes, or removes it.

    To remove a row, an external-content FTS5 index needs the indexed values.
    """
    values = ", ".join(f"{state}.{name}" for name in COLUMNS)
    text = f"(SELECT text FROM texts WHERE content_hash = {state}.content_hash)"
    return "".join(
        f"INSERT INTO {table}({_target(table, drop)}) "
        f"VALUES ({_first(drop)}{state}.id, {values}, {text}); "
        for table in INDEXES
    )


def _of_text(state: str, text: str, drop: bool = False) -> str:
    """SQL that adds the images of a row of `texts` to the indexes, or removes them."""
    mine = f"images.content_hash = {state}.content_hash"
    return "".join(
        f"INSERT INTO {table}({_target(table, drop)}) "
        f"SELECT {_first(drop)}id, {NAMES}, {text} FROM images WHERE {mine}; "
        for table in INDEXES
    )


def _target(table: str, drop: bool) -> str:
    return f"{table}, rowid, {NAMES}, text" if drop else f"rowid, {NAMES}, text"


def _first(drop: bool) -> str:
    return "'delete', " if drop else ""
