"""Reads and writes measures of images, and lists the images that are not measured yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from sqlalchemy import ColumnElement, Connection, and_, func, select

from imgsearch.catalog import contents
from imgsearch.catalog.dialects import upsert
from imgsearch.catalog.tables import images, measures
from imgsearch.records import MEASURES, ImageRecord, Measures

_UPSERT = upsert(measures)
_PUT = _UPSERT.on_conflict_do_update(
    index_elements=["content_hash"], set_={name: _UPSERT.excluded[name] for name in MEASURES}
)
_MEASURED = select(measures.c.content_hash).where(measures.c.content_hash == images.c.content_hash)
_WAITS = and_(contents.PRESENT, ~_MEASURED.exists())


def put(connection: Connection, found: Mapping[str, Measures]) -> None:
    """Write measures by content hash, replacing those of the same hashes."""
    if found:
        values = [{"content_hash": key, **asdict(each)} for key, each in found.items()]
        connection.execute(_PUT, values)


def unmeasured(
    connection: Connection, root: str, scope: str, after: str, limit: int
) -> list[ImageRecord]:
    """Images that are not measured yet, one per content hash greater than `after`."""
    return contents.page(connection, _waits_in(connection, root, scope), after, limit)


def unmeasured_count(connection: Connection, places: Sequence[tuple[str, str]]) -> int:
    """The number of content hashes not measured yet, below roots with a folder each."""
    return sum(contents.count(connection, _waits_in(connection, *place)) for place in places)


def waiting(connection: Connection) -> int:
    """The number of present images that are not measured yet."""
    query = select(func.count()).select_from(images).where(_WAITS)
    return int(connection.execute(query).scalar_one())


def _waits_in(connection: Connection, root: str, scope: str) -> ColumnElement[bool]:
    return and_(contents.present_below(connection, root, scope), ~_MEASURED.exists())
