"""Reads and writes the texts found in images, and lists the images still to be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert as upsert

from imgsearch.catalog import rows
from imgsearch.catalog.filter_sql import at_or_below
from imgsearch.catalog.tables import images, library, roots, texts
from imgsearch.records import ImageRecord, TextFound

# The "+" keeps SQLite from using an index on the column: the one on content hashes gives the order.
_status: ColumnElement[Any] = literal_column("+images.status")
_root: ColumnElement[Any] = literal_column("+images.root_id")
_SAME_CONTENT = texts.c.content_hash == images.c.content_hash


def unread(
    connection: Connection, root: str, scope: str, engine: str, after: str, limit: int
) -> list[ImageRecord]:
    """Images whose text has not been read yet, one per content hash greater than `after`."""
    query = (
        select(images, roots.c.path.label("root"))
        .join(roots)
        .where(_waiting(connection, root, scope, engine), images.c.content_hash > after)
        .order_by(images.c.content_hash)
        .limit(limit)
    )
    records: dict[str, ImageRecord] = {}
    for row in connection.execute(query):
        records.setdefault(row.content_hash, rows.image_record(row))
    return list(records.values())


def unread_count(connection: Connection, root: str, scope: str, engine: str) -> int:
    """The number of content hashes whose text has not been read yet."""
    query = select(func.count(images.c.content_hash.distinct()))
    waiting = query.where(_waiting(connection, root, scope, engine))
    return int(connection.execute(waiting).scalar_one())


def _waiting(connection: Connection, root: str, scope: str, engine: str) -> ColumnElement[bool]:
    """The condition that a text is unread, or that only another engine has failed on it."""
    root_id = rows.root_id(connection, root)
    settled = select(texts.c.content_hash).where(
        _SAME_CONTENT, or_(texts.c.reason == "", texts.c.engine == engine)
    )
    candidates = and_(_status == "present", _root == root_id, at_or_below(scope))
    return and_(candidates, ~settled.exists())


def put(connection: Connection, readings: Sequence[TextFound]) -> None:
    """Write texts, replacing those of the same content hashes."""
    for each in readings:
        values = {"engine": each.engine, "text": each.text, "reason": each.reason}
        connection.execute(
            upsert(texts)
            .values(content_hash=each.content_hash, **values)
            .on_conflict_do_update(index_elements=["content_hash"], set_=values)
        )


def set_enabled(connection: Connection, enabled: bool) -> None:
    """Store whether the indexer reads texts."""
    connection.execute(update(library).values(reads_texts=enabled))


def enabled(connection: Connection) -> bool:
    """True if the indexer reads texts."""
    return bool(connection.execute(select(library.c.reads_texts)).scalar_one())
