"""The texts in pictures: which are still to be read, what was read, how many there are."""

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

# With a sign before it a column is not looked for in an index: that of the content hashes, in the
# order of which the pictures are wanted, is the one to go by.
_status: ColumnElement[Any] = literal_column("+images.status")
_root: ColumnElement[Any] = literal_column("+images.root_id")
_MINE = texts.c.content_hash == images.c.content_hash


def unread(
    connection: Connection, root: str, scope: str, engine: str, after: str, limit: int
) -> list[ImageRecord]:
    """Pictures whose text is still to be read, one for each content hash beyond `after`."""
    query = (
        select(images, roots.c.path.label("root"))
        .join(roots)
        .where(_waiting(connection, root, scope, engine), images.c.content_hash > after)
        .order_by(images.c.content_hash)
        .limit(limit)
    )
    found: dict[str, ImageRecord] = {}
    for row in connection.execute(query):
        found.setdefault(row.content_hash, rows.image_record(row))
    return list(found.values())


def unread_count(connection: Connection, root: str, scope: str, engine: str) -> int:
    """How many content hashes there are whose text is still to be read."""
    query = select(func.count(images.c.content_hash.distinct()))
    waiting = query.where(_waiting(connection, root, scope, engine))
    return int(connection.execute(waiting).scalar_one())


def _waiting(connection: Connection, root: str, scope: str, engine: str) -> ColumnElement[bool]:
    """Not read yet, or not by this engine where another one has failed."""
    root_id = rows.root_id(connection, root)
    settled = select(texts.c.content_hash).where(
        _MINE, or_(texts.c.reason == "", texts.c.engine == engine)
    )
    there = and_(_status == "present", _root == root_id, at_or_below(scope))
    return and_(there, ~settled.exists())


def put(connection: Connection, found: Sequence[TextFound]) -> None:
    """Write what was read, in place of what was read before."""
    for each in found:
        values = {"engine": each.engine, "text": each.text, "reason": each.reason}
        connection.execute(
            upsert(texts)
            .values(content_hash=each.content_hash, **values)
            .on_conflict_do_update(index_elements=["content_hash"], set_=values)
        )


def want(connection: Connection, wanted: bool) -> None:
    """Remember whether the indexer is to read texts."""
    connection.execute(update(library).values(reads_texts=wanted))


def wanted(connection: Connection) -> bool:
    """True if the indexer is to read texts."""
    return bool(connection.execute(select(library.c.reads_texts)).scalar_one())
