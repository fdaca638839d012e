"""Reads and writes saved searches: requests in JSON by name.

Plain SQL, so that a command that a daemon answers need not import SQLAlchemy.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from imgsearch.catalog.spellings import Plain
from imgsearch.records import SavedRecord

_ROWS = "SELECT id, name, request, saved_at FROM saved_searches"


def every(db: Plain) -> list[SavedRecord]:
    """All saved searches, by name."""
    return [_record(row) for row in db.execute(f"{_ROWS} ORDER BY name_key")]


def named(db: Plain, key: str) -> SavedRecord | None:
    """The saved search of that folded name."""
    row = db.execute(f"{_ROWS} WHERE name_key = ?", (key,)).fetchone()
    return None if row is None else _record(row)


class SavedWriter:
    """Changes saved searches within one transaction, and sees their state in it."""

    def __init__(self, db: Plain) -> None:
        self._db = db

    def named(self, key: str) -> SavedRecord | None:
        """The saved search of that folded name."""
        return named(self._db, key)

    def count(self) -> int:
        """The number of saved searches."""
        (count,) = self._db.execute("SELECT count(*) FROM saved_searches").fetchone()
        return int(count)

    def put(self, name: str, key: str, request: str) -> int:
        """Save a request and return its id, which stays if it replaces one of that folded name."""
        query = (
            "INSERT INTO saved_searches (name, name_key, request, saved_at) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (name_key) DO UPDATE"
            " SET name = excluded.name, request = excluded.request, saved_at = excluded.saved_at"
            " RETURNING id"
        )
        now = datetime.now().isoformat(" ", "microseconds")
        (saved_id,) = self._db.execute(query, (name, key, request, now)).fetchone()
        return int(saved_id)

    def rename(self, saved_id: int, name: str, key: str) -> None:
        """Rename a saved search; no other one may have the new name."""
        query = "UPDATE saved_searches SET name = ?, name_key = ? WHERE id = ?"
        self._db.execute(query, (name, key, saved_id))

    def remove(self, saved_id: int) -> None:
        """Delete a saved search."""
        self._db.execute("DELETE FROM saved_searches WHERE id = ?", (saved_id,))


def present(db: Plain, ids: Sequence[int]) -> set[int]:
    """Those of the ids that are present images."""
    listed = json.dumps(list(ids))
    query = "SELECT id, status FROM images WHERE id IN (SELECT value FROM json_each(?))"
    # The status is checked here: in the query, it makes SQLite scan an index on it.
    return {key for key, status in db.execute(query, (listed,)) if status == "present"}


def _record(row: tuple[int, str, str, str]) -> SavedRecord:
    saved_id, name, request, saved_at = row
    return SavedRecord(saved_id, str(name), str(request), datetime.fromisoformat(saved_at))
