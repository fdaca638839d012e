"""A copy of a catalog without vectors and words, in which a run is rehearsed.

What a run will do follows from the rows of images and skipped files, and from the code that writes
them. So a dry run is a run over a copy, and agrees with the run that follows.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing

from imgsearch.catalog.spellings import Plain
from imgsearch.catalog.sqlite_file import FILE, connect, from_stored

_TABLES = ("library", "spaces", "runs", "roots", "images", "skipped", "embeddings")
_ROWS_PER_INSERT = 10_000
_UNUSED_OBJECTS = """
SELECT type, name FROM sqlite_master WHERE type = 'trigger'
OR type = 'index' AND (name LIKE 'ix_images_status%' OR name LIKE 'ix_embeddings%')
"""
"""Words, and indexes for filters and for changes since a revision."""
_NAMES = """
SELECT CASE
    WHEN before.id IS NULL THEN 'added'
    WHEN (after.root_id, after.path) != (before.root_id, before.path) THEN 'moved'
    WHEN after.status = 'gone' AND before.status = 'present' THEN 'removed'
    WHEN after.status != 'present' THEN ''
    WHEN before.status = 'gone' THEN 'added'
    WHEN after.content_hash != before.content_hash THEN 'updated'
    WHEN after.sidecar_stamp != before.sidecar_stamp THEN 'updated'
    WHEN before.status != 'present' THEN 'added'
    ELSE '' END AS what, old.path, before.path, new.path, after.path
FROM images AS after JOIN roots AS new ON new.id = after.root_id
LEFT JOIN images_before AS before ON before.id = after.id
LEFT JOIN roots AS old ON old.id = before.root_id
WHERE what != '' ORDER BY new.path, after.path
"""
_SKIPPED = """
SELECT roots.path, skipped.path FROM skipped JOIN roots ON roots.id = root_id
WHERE run_id = (SELECT max(id) FROM runs) ORDER BY roots.path, skipped.path
"""


class Rehearsal:
    """The file of a copied catalog, and what has changed in it since `begin`."""

    def __init__(self, folder: str) -> None:
        self._path = os.path.join(folder, FILE)

    def copy(self, source: Plain) -> None:
        """Copy the rows of another catalog, each vector as an empty one."""
        with closing(connect(self._path)) as target:
            target.execute("PRAGMA foreign_keys=OFF")
            target.execute("PRAGMA synchronous=OFF")
            for kind, name in target.execute(_UNUSED_OBJECTS).fetchall():
                target.execute(f'DROP {kind} "{name}"')
            target.execute("BEGIN")
            for table in _TABLES:
                _copy_table(source, target, table)
            target.execute("COMMIT")

    def begin(self) -> None:
        """Remember the present state."""
        with closing(connect(self._path)) as db:
            db.execute("CREATE TABLE images_before AS SELECT * FROM images")
            db.execute("CREATE UNIQUE INDEX ix_images_before_id ON images_before (id)")

    def names(self) -> dict[str, list[str]]:
        """The absolute paths of images added, updated, moved ("old -> new"), removed and newly
        skipped since `begin`."""
        names: dict[str, list[str]] = {
            what: [] for what in ("added", "updated", "moved", "removed", "skipped")
        }
        with closing(connect(self._path)) as db:
            for what, old_root, old, root, path in db.execute(_NAMES):
                name = _absolute(root, path)
                names[what].append(
                    f"{_absolute(old_root, old)} -> {name}" if what == "moved" else name
                )
            names["skipped"] = [_absolute(*row) for row in db.execute(_SKIPPED)]
        return names


def _copy_table(source: Plain, target: sqlite3.Connection, table: str) -> None:
    columns = [row[1] for row in target.execute(f"PRAGMA table_info({table})")]
    values = ["x''" if name == "vector" else f'"{name}"' for name in columns]
    names, marks = ", ".join(f'"{name}"' for name in columns), ", ".join("?" * len(columns))
    cursor = source.execute(f"SELECT {', '.join(values)} FROM {table}")  # noqa: S608
    target.execute(f"DELETE FROM {table}")  # noqa: S608
    while rows := cursor.fetchmany(_ROWS_PER_INSERT):
        target.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)  # noqa: S608


def _absolute(root: str, path: str) -> str:
    return os.path.join(from_stored(root), from_stored(path))
