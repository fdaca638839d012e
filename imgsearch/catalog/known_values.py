"""The values that pictures can be filtered by: cameras, labels, folders, and names of files.

They are offered while a query is typed, so each list is bounded.
"""

from __future__ import annotations

from imgsearch.catalog.spellings import Plain
from imgsearch.catalog.sqlite_file import from_stored
from imgsearch.filters.text_keys import folded
from imgsearch.records import KnownValue, camera_name

MAX_VALUES_PER_KIND = 1000
"""The most frequent ones."""
MAX_FOLDERS = 50_000
KINDS = {"people": "person", "keywords": "keyword", "city": "place", "state": "place",
         "country": "place"}  # fmt: skip
"""Column of labels -> the filter option that takes its values."""

_CAMERAS = (
    "SELECT camera_make, camera_model, count(*) AS pictures FROM images"
    " WHERE status = 'present' AND camera_key IS NOT NULL"
    " GROUP BY camera_make, camera_model ORDER BY pictures DESC LIMIT ?"
)
_LABELS = (
    "SELECT key, count(*) AS pictures, min(image_id) FROM labels WHERE field = ?"
    " GROUP BY key ORDER BY pictures DESC LIMIT ?"
)
# Without the characters of its name at its end, a path is its folder: SQLite cannot split it.
_FOLDERS = (
    "SELECT DISTINCT roots.path, rtrim(images.path, replace(images.path, '/', ''))"
    " FROM images JOIN roots ON roots.id = root_id WHERE status = 'present' LIMIT ?"
)
_NAMES = (
    "SELECT path FROM images WHERE status = 'present' AND name_key >= ? AND name_key < ?"
    " ORDER BY name_key LIMIT ?"
)
_LAST = "\U0010ffff"


def known_values(db: Plain) -> list[KnownValue]:
    """Cameras, people, keywords and places, each kind the most frequent first."""
    found = [
        KnownValue("camera", camera_name(make, model) or "", count)
        for make, model, count in db.execute(_CAMERAS, (MAX_VALUES_PER_KIND,))
    ]
    for field, kind in KINDS.items():
        found += _labels(db, field, kind)
    return found


def _labels(db: Plain, field: str, kind: str) -> list[KnownValue]:
    """The values of a label as they are written in one of the pictures."""
    values = []
    for key, count, image_id in db.execute(_LABELS, (field, MAX_VALUES_PER_KIND)).fetchall():
        query = f"SELECT {field} FROM images WHERE id = ?"  # noqa: S608
        row = db.execute(query, (image_id,)).fetchone()
        written = [] if row is None or row[0] is None else str(row[0]).split("\n")
        value = next((each for each in written if folded(each) == key), key)
        values.append(KnownValue(kind, value, count))
    return values


def folders(db: Plain) -> list[str]:
    """The folders of the library with pictures, and those around them, absolute and sorted."""
    found: set[str] = set()
    for root, below in db.execute(_FOLDERS, (MAX_FOLDERS,)):
        parts = [from_stored(root).rstrip("/"), *filter(None, from_stored(below).split("/"))]
        found.update("/".join(parts[:end]) or "/" for end in range(1, len(parts) + 1))
    return sorted(found)


def names(db: Plain, beginning: str, limit: int) -> list[str]:
    """Names of present files that begin with a text."""
    key = folded(beginning)
    found = db.execute(_NAMES, (key, key + _LAST, limit))
    return [from_stored(path).rpartition("/")[2] for (path,) in found]
