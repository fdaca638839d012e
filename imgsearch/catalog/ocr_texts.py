"""Reads and writes the texts found in images, and lists the images still to be read."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, and_, or_, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from imgsearch.catalog import contents
from imgsearch.catalog.tables import images, library, texts
from imgsearch.records import ImageRecord, TextFound

_SAME_CONTENT = texts.c.content_hash == images.c.content_hash


def unread(
    connection: Connection, root: str, scope: str, engine: str, after: str, limit: int
) -> list[ImageRecord]:
    """Images whose text has not been read yet, one per content hash greater than `after`."""
    return contents.page(connection, _waiting(connection, root, scope, engine), after, limit)


def unread_count(connection: Connection, root: str, scope: str, engine: str) -> int:
    """The number of content hashes whose text has not been read yet."""
    return contents.count(connection, _waiting(connection, root, scope, engine))


def _waiting(connection: Connection, root: str, scope: str, engine: str) -> ColumnElement[bool]:
    """The condition that a text is unread, or that only another engine has failed on it."""
    settled = select(texts.c.content_hash).where(
        _SAME_CONTENT, or_(texts.c.reason == "", texts.c.engine == engine)
    )
    return and_(contents.present_below(connection, root, scope), ~settled.exists())


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
