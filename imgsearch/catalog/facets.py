"""Counts of images by month, folder, camera, format, place and position."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Label, Select, case, func, select

from imgsearch.catalog import rows
from imgsearch.catalog.dialects import month_of, unindexed, whole
from imgsearch.catalog.filter_sql import Condition, present
from imgsearch.catalog.tables import images, labels, roots
from imgsearch.filters.tree import Filter
from imgsearch.records import Facets, PlaceCount, PositionCell

MAX_CAMERAS = 200
MAX_PLACES = 200
"""Of countries, and of cities."""
_ABSENT = ("gone", "unreadable")


def facets(connection: Connection, where: Filter | None) -> Facets:
    """Counts of the present images that pass a filter."""
    condition = present(connection, where)
    count = func.count().label("pictures")
    position = func.count(images.c.latitude + images.c.longitude)
    sums = select(count, func.count(images.c.taken_at).label("dated"), position.label("located"))
    whole = connection.execute(sums.select_from(images).where(condition)).one()
    return Facets(
        months=month_counts(connection, where),
        folders=_folders(connection, count, condition),
        cameras=_cameras(connection, count, condition, where is not None),
        types=_types(connection, count, condition),
        countries=place_counts(connection, "country", where, MAX_PLACES),
        cities=place_counts(connection, "city", where, MAX_PLACES),
        dated=whole.dated,
        located=whole.located,
        total=whole.pictures,
    )


def month_counts(connection: Connection, where: Filter | None) -> dict[tuple[int, int], int]:
    """Counts of the present images that pass a filter by (year, month); month 0 has those of which
    only the year is known."""
    months = _months(func.count().label("pictures")).where(present(connection, where))
    return {
        (int(row.month[:4]), int(row.month[5:7])): row.pictures
        for row in connection.execute(months)
    }


def _months(count: Label[int]) -> Select[Any]:
    """Counts by month, "00" where only the year is known."""
    known = month_of(images.c.taken_at)
    only_year = func.substr(known, 1, 5).concat("00")
    month = case((images.c.taken_precision == "year", only_year), else_=known).label("month")
    return select(month, count).where(known.is_not(None)).group_by("month")


def _cameras(
    connection: Connection, count: Label[int], condition: Condition, filtered: bool
) -> list[tuple[str | None, str | None, int]]:
    """Make, model and count of the most frequent cameras, as the image that was added last has them
    written."""
    # The index on cameras is for all images, not for the few that pass a filter on something else.
    key: Any = unindexed(images.c.camera_key) if filtered else images.c.camera_key
    query = select(count, func.max(images.c.id).label("last"))
    query = query.where(condition, key.is_not(None)).group_by(key).order_by(count.desc(), key)
    found = connection.execute(query.limit(MAX_CAMERAS)).all()
    columns = images.c.camera_make, images.c.camera_model
    names = _values(connection, columns, [row.last for row in found])
    return [(*names[row.last], row.pictures) for row in found]


def _values(
    connection: Connection, columns: Sequence[ColumnElement[Any]], ids: Sequence[int]
) -> dict[int, tuple[Any, ...]]:
    """Columns of images by id."""
    return {
        row[0]: row[1:]
        for chunk in rows.chunks(ids)
        for row in connection.execute(select(images.c.id, *columns).where(images.c.id.in_(chunk)))
    }


def _types(connection: Connection, count: Label[int], condition: Condition) -> dict[str, int]:
    query = select(images.c.format, count).where(condition).group_by(images.c.format)
    return {row.format: row.pictures for row in connection.execute(query)}


def place_counts(
    connection: Connection, field: str, where: Filter | None, limit: int
) -> list[PlaceCount]:
    """The values of one of `fields.PLACE_FIELDS` of the present images that pass a filter, the most
    frequent first, as the image that was added last has them written."""
    if where is None:
        found = _all_places(connection, field, limit)
    else:
        query = _places(field).join(images).where(present(connection, where))
        query = query.order_by(func.count().desc(), labels.c.key).limit(limit)
        found = [(count, cover) for _, count, cover in connection.execute(query)]
    names = _values(connection, [images.c[field]], [cover for _, cover in found])
    return [PlaceCount(names[cover][0], count, cover) for count, cover in found]


def _places(field: str, column: Any = labels.c.field) -> Select[Any]:
    """Key, number of images and the image that was added last of each value of a field."""
    counted = select(labels.c.key, func.count(), func.max(labels.c.image_id))
    return counted.select_from(labels).where(column == field).group_by(labels.c.key)


def _all_places(connection: Connection, field: str, limit: int) -> list[tuple[int, int]]:
    """Number and last of the present images with each of the most frequent values.

    They are counted without a look at the images, which would take 20 times as long, and those of
    the few images that are not present are subtracted.
    """
    counts = Counter({row[0]: row[1] for row in connection.execute(_places(field))})
    absent = _places(field, unindexed(labels.c.field)).join(images)
    for key, count, _ in connection.execute(absent.where(images.c.status.in_(_ABSENT))):
        counts[key] -= count
    frequent = sorted(counts, key=lambda key: (-counts[key], key))[:limit]
    frequent = [key for key in frequent if counts[key] > 0]
    found: list[tuple[int, int]] = []
    for chunk in rows.chunks(frequent):
        last = [
            select(labels.c.image_id)
            .join_from(labels, images)
            .where(labels.c.field == field, labels.c.key == key, images.c.status == "present")
            .order_by(labels.c.image_id.desc())
            .limit(1)
            .scalar_subquery()
            for key in chunk
        ]
        covers = connection.execute(select(*last)).one()
        found += [(counts[key], cover) for key, cover in zip(chunk, covers, strict=True)]
    return found


def position_cells(
    connection: Connection, where: Filter | None, columns: int, bands: int, limit: int
) -> list[PositionCell]:
    """The present images that pass a filter by cell of their position, in any order.

    An index has all that is read; no function of ours is called for an image.

    Parameters
    ----------
    columns, bands : int
        Number of cells from -180 to 180 degrees of longitude, and from -90 to 90 of latitude.
    limit : int
        Maximum number of cells.
    """
    latitude, longitude = images.c.latitude, images.c.longitude
    column = whole((longitude + 180.0) * (columns / 360.0)).label("cell_column")
    band = whole((latitude + 90.0) * (bands / 180.0)).label("cell_band")
    query = (
        select(
            column, func.count().label("pictures"), func.max(images.c.id).label("cover"),
            func.avg(latitude).label("latitude"), func.avg(longitude).label("longitude"),
            func.min(latitude).label("south"), func.min(longitude).label("west"),
            func.max(latitude).label("north"), func.max(longitude).label("east"),
        )
        .where(present(connection, where), _located(where), longitude.is_not(None))
        .group_by("cell_column", band)
        .limit(limit)
    )  # fmt: skip
    return [
        PositionCell(
            row.cell_column, row.pictures, row.cover, row.latitude, row.longitude,
            row.south, row.west, row.north, row.east,
        )
        for row in connection.execute(query)
    ]  # fmt: skip


def _located(where: Filter | None) -> Condition:
    """The images with a latitude. The index on positions is not one for the few images that pass a
    filter on something else, which SQLite cannot know."""
    latitude: Any = images.c.latitude if where is None else unindexed(images.c.latitude)
    located: Condition = latitude.is_not(None)
    return located


def has_positions(connection: Connection) -> bool:
    """True if a present image has a position; a seek in an index."""
    found = select(images.c.id).where(present(connection, None), images.c.latitude.is_not(None))
    return connection.execute(found.limit(1)).first() is not None


def _folders(connection: Connection, count: Label[int], condition: Condition) -> dict[str, int]:
    path = images.c.path
    # The set of characters to strip from the end of a path: all of its own but the slash.
    folder = func.rtrim(path, func.replace(path, "/", ""), type_=path.type).label("folder")
    query = select(roots.c.path.label("root"), folder, count).join_from(images, roots)
    query = query.where(condition).group_by(roots.c.path, folder)
    return {
        _absolute(row.root, row.folder.removesuffix("/")): row.pictures
        for row in connection.execute(query)
    }


def _absolute(root: str, below: str) -> str:
    return os.path.join(root, *below.split("/")) if below else root
