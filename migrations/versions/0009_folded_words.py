"""Fold words before they are indexed, and index people, places and labels.

SQLite's tokenizers fold neither by Unicode's rules nor the same in all versions. `words` now holds
folded text of its own, written by triggers through the functions `word_text` and `word_forms`, and
`letters` is gone: `words` has each character of a script without spaces as a word. `labels` has
what a picture is labelled with, folded, for filters. File names and cameras are folded again, by
the rule of the words.

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

COLUMNS = ("path", "camera_make", "camera_model", "title", "description", "keywords", "people",
           "city", "state", "country")  # fmt: skip
TEXTS = (*COLUMNS, "text")
LABELS = {"title": 0, "description": 0, "keywords": 1, "people": 1, "city": 0, "state": 0,
          "country": 0}  # fmt: skip
"""Fields of labels; 1 if each line is a label."""

VIEW = (
    f"CREATE VIEW searchable AS SELECT images.id, images.content_hash, {', '.join(COLUMNS)}, "
    "texts.text AS text FROM images LEFT JOIN texts ON texts.content_hash = images.content_hash"
)
ROWS = (
    f"INSERT INTO words(rowid, {', '.join(TEXTS)}, forms) SELECT id, "
    f"{', '.join(f'word_text({name})' for name in TEXTS)}, word_forms({', '.join(TEXTS)}) "
    "FROM searchable"
)


def upgrade() -> None:
    for table in ("images", "texts"):
        for change in ("insert", "delete", "update"):
            op.execute(f"DROP TRIGGER {table}_{change}")
    for table in ("words", "letters"):
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP VIEW searchable")
    for name in ("name_key", "camera_key"):
        op.execute(f"UPDATE images SET {name} = folded({name}) WHERE {name} GLOB '*[^ -~]*'")
    op.create_table(
        "labels",
        sa.Column("field", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("image_id", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("field", "key", "image_id", name="pk_labels"),
        sa.ForeignKeyConstraint(
            ["image_id"], ["images.id"], name="fk_labels_image_id_images", ondelete="CASCADE"
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_labels_image_id", "labels", ["image_id"])
    op.execute(VIEW)
    op.execute(
        f"CREATE VIRTUAL TABLE words USING fts5({', '.join(TEXTS)}, forms, tokenize='ascii')"
    )
    op.execute(ROWS)
    for name in LABELS:
        op.execute(labels_of("images", name))
    for trigger in triggers():
        op.execute(trigger)


def triggers() -> list[str]:
    """The triggers that update words and labels with every change of an image or a text."""
    orphan = (
        "DELETE FROM texts WHERE content_hash = old.content_hash AND NOT EXISTS "
        "(SELECT 1 FROM images WHERE content_hash = old.content_hash); "
    )
    drop, put = "DELETE FROM words WHERE rowid = old.id; ", f"{ROWS} WHERE id = new.id; "
    # A file that was only touched is written with its previous hash.
    changed = f"UPDATE OF {', '.join(COLUMNS)}, content_hash ON images WHEN "
    changed += differs((*COLUMNS, "content_hash"))
    labelled = f"coalesce({', '.join(f'new.{name}' for name in LABELS)}) IS NOT NULL"
    relabelled = f"UPDATE OF {', '.join(LABELS)} ON images WHEN {differs(LABELS)}"
    label = "".join(f"{labels_of('', name)}; " for name in LABELS)
    unlabel = "DELETE FROM labels WHERE image_id = old.id; "
    return [
        f"CREATE TRIGGER images_insert AFTER INSERT ON images BEGIN {put}END",
        f"CREATE TRIGGER images_delete AFTER DELETE ON images BEGIN {drop}{unlabel}{orphan}END",
        f"CREATE TRIGGER images_update AFTER {changed} BEGIN {drop}{put}{orphan}END",
        f"CREATE TRIGGER labels_insert AFTER INSERT ON images WHEN {labelled} BEGIN {label}END",
        f"CREATE TRIGGER labels_update AFTER {relabelled} BEGIN {unlabel}{label}END",
        f"CREATE TRIGGER texts_insert AFTER INSERT ON texts BEGIN {of_text('new')}END",
        f"CREATE TRIGGER texts_delete AFTER DELETE ON texts BEGIN {of_text('old')}END",
        f"CREATE TRIGGER texts_update AFTER UPDATE OF text ON texts BEGIN {of_text('new')}END",
    ]


def of_text(state: str) -> str:
    """SQL that indexes the images of a row of `texts` again."""
    mine = f"content_hash = {state}.content_hash"
    return (
        f"DELETE FROM words WHERE rowid IN (SELECT id FROM images WHERE {mine}); "
        f"{ROWS} WHERE {mine}; "
    )


def labels_of(source: str, name: str) -> str:
    """SQL that inserts the labels of one field, of all images or of the new row of a trigger."""
    values = f"json_each(folded_labels({source or 'new'}.{name}, {LABELS[name]}))"
    owner, tables = ("images.id", f"images, {values}") if source else ("new.id", values)
    return f"INSERT OR IGNORE INTO labels SELECT '{name}', value, {owner} FROM {tables}"


def differs(names) -> str:
    return " OR ".join(f"old.{name} IS NOT new.{name}" for name in names)
