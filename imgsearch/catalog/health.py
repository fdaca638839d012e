"""Integrity checks of the catalog itself."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    DateTime,
    Float,
    Integer,
    LargeBinary,
    Row,
    Table,
    and_,
    func,
    select,
    text,
)

from imgsearch.catalog import rows
from imgsearch.catalog.dialects import on_server
from imgsearch.catalog.schema import sqlite_driver
from imgsearch.catalog.tables import embeddings, images, metadata, spaces, tombstones

MAX_NAMED_ROWS = 20
"""Damaged rows of a table that are named; the others are counted."""
_ROWS_PER_READ = 4096
_MAX_SHOWN_CHARACTERS = 60


def faults(connection: Connection) -> list[str]:
    """The faults found, one sentence each; empty if the catalog is sound."""
    sentences = [] if on_server(connection) else _file_faults(connection)
    for table in metadata.sorted_tables:
        sentences += _named(table, list(_damaged_values(connection, table)))
    if not sentences:
        for space in connection.execute(select(spaces)).all():
            sentences += _space_faults(connection, space)
    return sentences


def _file_faults(connection: Connection) -> list[str]:
    """What SQLite lets happen, and a server does not: damaged pages and rows."""
    sentences = [
        f"SQLite reports: {row[0]}"
        for row in connection.execute(text("PRAGMA integrity_check"))
        if row[0] != "ok"
    ]
    sentences += [
        f"a row of {row[0]} refers to a row of {row[2]} that does not exist"
        for row in connection.execute(text("PRAGMA foreign_key_check"))
    ]
    return sentences


# Values


def _named(table: Table, damaged: list[str]) -> list[str]:
    more = len(damaged) - MAX_NAMED_ROWS
    rest = [f"{more} more values of {table.name} are damaged"] if more > 0 else []
    return damaged[:MAX_NAMED_ROWS] + rest


def _damaged_values(connection: Connection, table: Table) -> Iterator[str]:
    """A sentence for each value that its column cannot hold, or that is out of its range.

    SQLite stores whatever it gets; a server keeps the types, so that only ranges are left to check.
    """
    ranges = _RANGES.get(table.name, {})
    columns = [column for column in table.c if not isinstance(column.type, LargeBinary)]
    if on_server(connection):
        columns = [each for each in columns if each.name in (*ranges, "path")] if ranges else []
    if not columns:
        return
    checks = [(column.name, _check(column, ranges.get(column.name))) for column in columns]
    key = next((c.name for c in table.primary_key), columns[0].name)
    for values in _raw_rows(connection, table.name, key, columns):
        for (name, holds), value in zip(checks, values[1:], strict=True):
            if not holds(value):
                place = _place(dict(zip((c.name for c in columns), values[1:], strict=True)))
                yield f"row {values[0]} of {table.name}{place}: {name} is damaged: {_shown(value)}"


def _raw_rows(
    connection: Connection, table: str, key: str, columns: list[Column[Any]]
) -> Iterator[tuple[Any, ...]]:
    """The key and the columns of all rows: numbers, and everything else as bytearrays."""
    if not on_server(connection):
        names = ", ".join(f'"{column.name}"' for column in columns)
        yield from _raw(connection, f'SELECT "{key}", {names} FROM "{table}"')  # noqa: S608
        return
    names = ", ".join(
        f'"{column.name}"'
        if isinstance(column.type, Integer | Float)
        else f'CAST("{column.name}" AS text)'
        for column in columns
    )
    pages = connection.execution_options(yield_per=_ROWS_PER_READ)
    for row in pages.execute(text(f'SELECT "{key}", {names} FROM "{table}"')):  # noqa: S608
        yield tuple(bytearray(each.encode()) if isinstance(each, str) else each for each in row)


def _raw(connection: Connection, query: str, *values: object) -> Iterator[tuple[Any, ...]]:
    """Rows of a file with texts as bytearrays, which cannot fail, and differ from blobs."""
    db = sqlite_driver(connection)
    before, db.text_factory = db.text_factory, bytearray
    try:
        cursor = db.execute(query, values)
        while found := cursor.fetchmany(_ROWS_PER_READ):
            yield from found
    finally:
        db.text_factory = before


def _place(values: dict[str, Any]) -> str:
    path = values.get("path")
    return f" ({path.decode('utf-8', 'replace')})" if isinstance(path, bytearray) else ""


def _shown(value: Any) -> str:
    plain = value.decode("utf-8", "replace") if isinstance(value, bytearray) else value
    return repr(plain)[:_MAX_SHOWN_CHARACTERS]


def _check(
    column: Column[Any], in_range: Callable[[Any], bool] | None = None
) -> Callable[[Any], bool]:
    """True if a raw value fits a column, and the range of its values if it has one."""
    kinds: tuple[tuple[type, Callable[[Any], bool]], ...] = (
        (DateTime, _is_date),
        (JSON, _is_json),
        (Float, _is_number),
        (Integer, _is_integer),
        (Boolean, _is_integer),
    )
    fits = next((check for kind, check in kinds if isinstance(column.type, kind)), _is_text)
    holds = fits if in_range is None else lambda value: fits(value) and in_range(value)
    if column.nullable:
        return lambda value: value is None or holds(value)
    return holds


def _is_text(value: Any) -> bool:
    try:
        return isinstance(value, bytearray) and bool(value.decode() or True)
    except UnicodeDecodeError:
        return False


def _is_date(value: Any) -> bool:
    try:
        return _is_text(value) and bool(datetime.fromisoformat(value.decode()))
    except ValueError:
        return False


def _is_json(value: Any) -> bool:
    try:
        return _is_text(value) and isinstance(json.loads(value), list | dict)
    except ValueError:
        return False


def _is_integer(value: Any) -> bool:
    return isinstance(value, int)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


# Ranges


def _within(low: float, high: float) -> Callable[[Any], bool]:
    return lambda value: low <= value <= high


def _one_of(*texts: str) -> Callable[[Any], bool]:
    return lambda value: value.decode() in texts


def _is_year_of_a_photo(value: Any) -> bool:
    return datetime.fromisoformat(value.decode()).year in YEARS


def _is_texts(value: Any) -> bool:
    listed = json.loads(value)
    return isinstance(listed, list) and all(isinstance(each, str) for each in listed)


YEARS = range(1826, 2201)
"""Those of `sources.dates`: others cannot have been read from a picture."""
_SHARE = _within(0, 1)
_RANGES: dict[str, dict[str, Callable[[Any], bool]]] = {
    "roots": {"exclude": _is_texts, "mounts": _is_texts},
    "images": {
        "size": _within(0, 1 << 62),
        "width": _within(1, 1 << 31),
        "height": _within(1, 1 << 31),
        "orientation": _within(1, 8),
        "taken_at": _is_year_of_a_photo,
        "taken_precision": _one_of("year", "month", "day", "second"),
        "utc_offset_minutes": _within(-15 * 60, 15 * 60),
        "latitude": _within(-90, 90),
        "longitude": _within(-180, 180),
        "rating": _within(-1, 5),
    },
    "spaces": {"dimension": _within(1, 1 << 16)},
    "reference_scores": {"scale": _within(0, 1000)},
    "measures": {
        "sharpness": _SHARE,
        "brightness": _SHARE,
        "shadows": _SHARE,
        "highlights": _SHARE,
        "contrast": _SHARE,
        "colourfulness": _within(0, 1000),
        "kind": _one_of("photo", "screenshot", "document"),
    },
    "saved_searches": {"request": _is_json},
}
"""What values mean something, by table and column."""


# Vectors


def _space_faults(connection: Connection, space: Row[Any]) -> list[str]:
    in_space = embeddings.c.space_id == space.id
    buried = and_(
        tombstones.c.image_id == images.c.id, tombstones.c.space_id == embeddings.c.space_id
    )
    query = select(func.count()).select_from(embeddings.join(images).join(tombstones, buried))
    count = connection.execute(query.where(in_space, images.c.status == "present")).scalar_one()
    sentences = []
    if count:
        sentences.append(
            f"{count} vectors of {space.model} belong to a present picture and have a tombstone"
        )
    damaged = list(_damaged_vectors(connection, space))
    if damaged:
        more = ", ..." if len(damaged) > MAX_NAMED_ROWS else ""
        sentences.append(
            f"{len(damaged)} vectors of {space.model} have the wrong length or values that are not"
            f" finite, and their pictures are not found: ids"
            f" {', '.join(map(str, damaged[:MAX_NAMED_ROWS]))}{more}"
        )
    return sentences


def _damaged_vectors(connection: Connection, space: Row[Any]) -> Iterator[int]:
    """Ids of the images whose vectors nobody can find."""
    length = rows.STORAGE.itemsize * space.dimension
    for image_id, vector in _vectors(connection, space.id):
        whole = isinstance(vector, bytes) and len(vector) == length
        if not whole or not np.isfinite(np.frombuffer(vector, rows.STORAGE)).all():
            yield image_id


def _vectors(connection: Connection, space_id: int) -> Iterator[tuple[Any, ...]]:
    """Image ids and stored vectors of a space, page by page."""
    if not on_server(connection):
        query = "SELECT image_id, vector FROM embeddings WHERE space_id = ?"
        yield from _raw(connection, query, space_id)
        return
    vectors = select(embeddings.c.image_id, embeddings.c.vector)
    vectors = vectors.where(embeddings.c.space_id == space_id)
    pages = connection.execution_options(yield_per=_ROWS_PER_READ).execute(vectors)
    yield from map(tuple, pages)
