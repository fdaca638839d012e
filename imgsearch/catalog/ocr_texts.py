"""Reads and writes the texts found in images, and lists the images still to be read."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, and_, or_, select, update

from imgsearch.catalog import contents
from imgsearch.catalog.dialects import upsert
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


def put(connection: Connection, readings: Sequence[TextFound], keep: bool = False) -> None:
    """Write texts, replacing those of the same content hashes.

    With `keep` a text that was read stays, and only a text replaces the reason for none.
    """
    for each in readings:
        values = {"engine": each.engine, "text": each.text, "reason": each.reason}
        statement = upsert(texts).values(content_hash=each.content_hash, **values)
        if keep and each.reason:
            statement = statement.on_conflict_do_nothing()
        else:
            unread = texts.c.reason != "" if keep else None
            statement = statement.on_conflict_do_update(
                index_elements=["content_hash"], set_=values, where=unread
            )
        connection.execute(statement)


def set_enabled(connection: Connection, enabled: bool) -> None:
    """Store whether the indexer reads texts."""
    connection.execute(update(library).values(reads_texts=enabled))


def enabled(connection: Connection) -> bool:
    """True if the indexer reads texts."""
    return bool(connection.execute(select(library.c.reads_texts)).scalar_one())
