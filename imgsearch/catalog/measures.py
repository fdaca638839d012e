"""Reads and writes what images measure, and lists the images that are not measured yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, literal_column, select
from sqlalchemy.dialects.sqlite import insert as upsert

from imgsearch.catalog import rows
from imgsearch.catalog.filter_sql import at_or_below
from imgsearch.catalog.tables import images, measures, roots
from imgsearch.records import ImageRecord, Measures

_NAMES = [field.name for field in fields(Measures)]
_UPSERT = upsert(measures)
_PUT = _UPSERT.on_conflict_do_update(
    index_elements=["content_hash"], set_={name: _UPSERT.excluded[name] for name in _NAMES}
)
# As in `ocr_texts`: the index on content hashes gives the order.
_status: ColumnElement[Any] = literal_column("+images.status")
_root: ColumnElement[Any] = literal_column("+images.root_id")
_MEASURED = select(measures.c.content_hash).where(measures.c.content_hash == images.c.content_hash)
_WAITS = and_(_status == "present", ~_MEASURED.exists())


def put(connection: Connection, found: Mapping[str, Measures]) -> None:
    """Write measures by content hash, replacing those of the same hashes."""
    if found:
        values = [{"content_hash": key, **asdict(each)} for key, each in found.items()]
        connection.execute(_PUT, values)


def unmeasured(
    connection: Connection, root: str, scope: str, after: str, limit: int
) -> list[ImageRecord]:
    """Images that are not measured yet, one per content hash greater than `after`."""
    query = (
        select(images, roots.c.path.label("root"))
        .join(roots)
        .where(_waits_in(connection, root, scope), images.c.content_hash > after)
        .order_by(images.c.content_hash)
        .limit(limit)
    )
    records: dict[str, ImageRecord] = {}
    for row in connection.execute(query):
        records.setdefault(row.content_hash, rows.image_record(row))
    return list(records.values())


def unmeasured_count(connection: Connection, places: Sequence[tuple[str, str]]) -> int:
    """The number of content hashes not measured yet, below roots with a folder each."""
    query = select(func.count(images.c.content_hash.distinct()))
    counts = (
        connection.execute(query.where(_waits_in(connection, *place))).scalar_one()
        for place in places
    )
    return sum(map(int, counts))


def waiting(connection: Connection) -> int:
    """The number of present images that are not measured yet."""
    query = select(func.count()).select_from(images).where(_WAITS)
    return int(connection.execute(query).scalar_one())


def _waits_in(connection: Connection, root: str, scope: str) -> ColumnElement[bool]:
    return and_(_WAITS, _root == rows.root_id(connection, root), at_or_below(scope))
