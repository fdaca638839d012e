"""Lists images that lack data which the catalog keeps by content hash, such as texts."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, select

from imgsearch.catalog import rows
from imgsearch.catalog.dialects import unindexed
from imgsearch.catalog.filter_sql import at_or_below
from imgsearch.catalog.tables import images, roots
from imgsearch.records import ImageRecord

# The index on content hashes gives the order.
_root: ColumnElement[Any] = unindexed(images.c.root_id)
PRESENT: ColumnElement[bool] = unindexed(images.c.status) == "present"


def present_below(connection: Connection, root: str, scope: str) -> ColumnElement[bool]:
    """The condition that an image is present, below a root and a folder in it."""
    return and_(PRESENT, _root == rows.root_id(connection, root), at_or_below(scope))


def page(
    connection: Connection, condition: ColumnElement[bool], after: str, limit: int
) -> list[ImageRecord]:
    """Images that meet a condition, one per content hash greater than `after`."""
    query = (
        select(images, roots.c.path.label("root"))
        .join(roots)
        .where(condition, images.c.content_hash > after)
        .order_by(images.c.content_hash)
        .limit(limit)
    )
    records: dict[str, ImageRecord] = {}
    for row in connection.execute(query):
        records.setdefault(row.content_hash, rows.image_record(row))
    return list(records.values())


def count(connection: Connection, condition: ColumnElement[bool]) -> int:
    """The number of content hashes of images that meet a condition."""
    query = select(func.count(images.c.content_hash.distinct())).where(condition)
    return int(connection.execute(query).scalar_one())
