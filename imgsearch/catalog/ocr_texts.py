"""Reads and writes the texts found in images, and lists the images still to be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from sqlalchemy import ColumnElement, Connection, and_, or_, select, update

from imgsearch.catalog import contents
from imgsearch.catalog.dialects import upsert
from imgsearch.catalog.tables import images, library, texts
from imgsearch.records import PASSED_OVER, SEEN, ImageRecord, TextFound

_SAME_CONTENT = texts.c.content_hash == images.c.content_hash


Unread = Literal["any", "new", "seen"]
"""Which images to list. "any": all without a text. "new": those not glanced at yet. "seen": those
in which a glance saw text. "any" and "seen" include images on which only another engine failed."""


def unread(
    connection: Connection,
    root: str,
    scope: str,
    engine: str,
    after: str,
    limit: int,
    which: Unread = "any",
) -> list[ImageRecord]:
    """Images whose text has not been read yet, one per content hash greater than `after`."""
    condition = _waiting(connection, root, scope, engine, which)
    return contents.page(connection, condition, after, limit)


def unread_count(
    connection: Connection, root: str, scope: str, engine: str, which: Unread = "any"
) -> int:
    """The number of content hashes whose text has not been read yet."""
    return contents.count(connection, _waiting(connection, root, scope, engine, which))


def _waiting(
    connection: Connection, root: str, scope: str, engine: str, which: Unread
) -> ColumnElement[bool]:
    """The condition that an image is present, below the folder, and due."""
    row = select(texts.c.content_hash).where(_SAME_CONTENT)
    glanced = texts.c.reason.in_((PASSED_OVER, SEEN))
    failed_here = and_(texts.c.engine == engine, ~glanced)
    failed_elsewhere = and_(texts.c.engine != engine, texts.c.reason != "", ~glanced)
    due = {
        "any": ~row.where(or_(texts.c.reason == "", failed_here)).exists(),
        "new": ~row.exists(),
        "seen": row.where(or_(texts.c.reason == SEEN, failed_elsewhere)).exists(),
    }
    return and_(contents.present_below(connection, root, scope), due[which])


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


def set_mode(connection: Connection, mode: str) -> None:
    """Store which images the indexer reads: "auto", "on" or "off"."""
    connection.execute(update(library).values(ocr=mode))


def mode(connection: Connection) -> str:
    """Which images the indexer reads; "" before the first choice."""
    return str(connection.execute(select(library.c.ocr)).scalar_one())
