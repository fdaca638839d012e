"""The words and labels of images on PostgreSQL: written after each change, and searched.

They are the same words as in SQLite's index: `word_forms` cuts them, and a document is built from
them with neither dictionary nor stop words. Its weights stand for the columns that count alike: A
for titles, keywords and people, B for paths, descriptions and places, C for cameras and texts in
images, D for the other forms of all of them.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, text

from imgsearch.catalog import word_forms
from imgsearch.catalog.sqlite_file import from_stored
from imgsearch.filters.text_keys import folded

WEIGHTS = {
    "path": "B",
    "camera_make": "C",
    "camera_model": "C",
    "title": "A",
    "description": "B",
    "keywords": "A",
    "people": "A",
    "city": "B",
    "state": "B",
    "country": "B",
    "text": "C",
}
"""Column of `searchable` -> weight of its words."""
WEIGHT_VALUES = (1 / 3, 1 / 3, 2 / 3, 1.0)
"""What the weights D, C, B and A count: in proportion to `full_text.WEIGHTS`."""
AS_WRITTEN = "ABC"
"""Weights of words, without their other forms."""
LABELS = {"title": False, "description": False, "keywords": True, "people": True, "city": False,
          "state": False, "country": False}  # fmt: skip
"""Columns that are labels; true if each line is one."""
MAX_POSITION = 16_383
"""PostgreSQL counts words up to here; phrases beyond are not found."""
MAX_WORD_BYTES = 2046
MAX_DOCUMENT_BYTES = 500_000
"""A tsvector takes 1 MB, with the positions of its words."""
IMAGES_PER_WRITE = 1000

_DUE = text("DELETE FROM words_due RETURNING id")
# Each statement is a round trip, so two of them do the work of four.
_ROWS = text(
    "WITH unlabelled AS (DELETE FROM labels WHERE image_id = ANY(:ids))"
    " SELECT * FROM searchable WHERE id = ANY(:ids)"
)
# Rows travel as one value: as many statements they would take most of the time of a commit.
_PUT = text(
    "WITH documents AS ("
    "INSERT INTO words SELECT id, CAST(doc AS tsvector)"
    " FROM json_to_recordset(CAST(:documents AS json)) AS new (id bigint, doc text)"
    " ON CONFLICT (id) DO UPDATE SET doc = excluded.doc)"
    " INSERT INTO labels (field, key, image_id) SELECT field, key, image_id"
    " FROM json_to_recordset(CAST(:labels AS json)) AS new (field text, key text, image_id bigint)"
)
_PHRASE = re.compile('"([^"]*)"')


def write(connection: Connection) -> None:
    """Write the words and labels of the images that this transaction has changed."""
    due = sorted(connection.execute(_DUE).scalars())
    for start in range(0, len(due), IMAGES_PER_WRITE):
        _write(connection, due[start : start + IMAGES_PER_WRITE])


def _write(connection: Connection, ids: list[int]) -> None:
    rows = connection.execute(_ROWS, {"ids": ids}).mappings().all()
    if not rows:  # deleted again
        return
    documents = [{"id": row["id"], "doc": document(row)} for row in rows]
    labels = [label for row in rows for label in _labels(row)]
    connection.execute(_PUT, {"documents": json.dumps(documents), "labels": json.dumps(labels)})


def _labels(row: Any) -> Iterator[dict[str, Any]]:
    for field, has_lines in LABELS.items():
        value = row[field]
        if value is not None:
            keys = map(folded, value.split("\n") if has_lines else [value])
            yield from (
                {"field": field, "key": key, "image_id": row["id"]} for key in dict.fromkeys(keys)
            )


def document(row: Any) -> str:
    """The words of a row of `searchable` in the text form of a tsvector."""
    texts = {name: from_stored(row[name]) for name in WEIGHTS if row[name]}
    places: dict[str, list[str]] = defaultdict(list)
    size = position = 0
    for name, value in texts.items():
        for word in word_forms.words(value).split():
            position = min(position + 1, MAX_POSITION)
            size += len(word.encode())
            if size < MAX_DOCUMENT_BYTES:
                places[word].append(f"{position}{WEIGHTS[name]}")
        position += 1  # a phrase ends with its column
    for word in word_forms.forms(tuple(texts.values())).split():
        size += len(word.encode())
        if size < MAX_DOCUMENT_BYTES:
            places[word].append(f"{MAX_POSITION}D")
    return " ".join(
        f"{_quoted(word)}:{','.join(at)}"
        for word, at in places.items()
        if len(word.encode()) <= MAX_WORD_BYTES
    )


def tsquery(expression: str, weights: str = "") -> str:
    """An expression of `full_text` in the text form of a tsquery, for words of some weights."""
    parts = _PHRASE.split(expression)
    for i in range(1, len(parts), 2):
        suffix = f":{weights}" if weights else ""
        words = [_quoted(word) + suffix for word in parts[i].split()]
        parts[i] = f"({' <-> '.join(words)})"
    parts[::2] = [each.replace(" AND ", " & ").replace(" OR ", " | ") for each in parts[::2]]
    return "".join(parts)


def any_word(expression: str) -> str:
    """A tsquery for any word of an expression of `full_text`, by which images are ranked."""
    words = {word for phrase in _PHRASE.findall(expression) for word in phrase.split()}
    return " | ".join(map(_quoted, sorted(words)))


def _quoted(word: str) -> str:
    """A word as a tsvector or tsquery takes it; no document has longer ones."""
    word = word.encode()[:MAX_WORD_BYTES].decode(errors="ignore")
    return "'" + word.replace("\\", "\\\\").replace("'", "''") + "'"
