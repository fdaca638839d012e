"""Counts of images by month, folder, camera and format."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

from sqlalchemy import Connection, Label, Select, case, func, select

from imgsearch.catalog.dialects import month_of
from imgsearch.catalog.filter_sql import Condition, present
from imgsearch.catalog.tables import images, roots
from imgsearch.filters.tree import Filter
from imgsearch.records import Facets

MAX_CAMERAS = 200


def facets(connection: Connection, where: Filter | None) -> Facets:
    """Counts of the present images that pass a filter."""
    condition = present(connection, where)
    count = func.count().label("pictures")
    cameras, folders = _cameras(count), _folders()
    position = func.count(images.c.latitude + images.c.longitude)
    sums = select(count, func.count(images.c.taken_at).label("dated"), position.label("located"))
    whole = connection.execute(sums.select_from(images).where(condition)).one()
    return Facets(
        months=month_counts(connection, where),
        folders=_counted(connection, folders.where(condition)),
        cameras=[
            (row.camera_make, row.camera_model, row.pictures)
            for row in connection.execute(cameras.where(condition).limit(MAX_CAMERAS))
        ],
        types=_types(connection, count, condition),
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


def _cameras(count: Label[int]) -> Select[Any]:
    make, model = images.c.camera_make, images.c.camera_model
    known = images.c.camera_key.is_not(None)
    return select(make, model, count).where(known).group_by(make, model).order_by(count.desc())


def _types(connection: Connection, count: Label[int], condition: Condition) -> dict[str, int]:
    query = select(images.c.format, count).where(condition).group_by(images.c.format)
    return {row.format: row.pictures for row in connection.execute(query)}


def _folders() -> Select[Any]:
    """The paths of images; `_counted` strips the file names, for which SQLite has no function."""
    return select(roots.c.path.label("root"), images.c.path).join_from(images, roots)


def _counted(connection: Connection, query: Select[Any]) -> dict[str, int]:
    counts: Counter[tuple[str, str]] = Counter()
    for root, path in connection.execute(query):
        counts[root, path.rpartition("/")[0]] += 1
    return {_absolute(root, below): number for (root, below), number in counts.items()}


def _absolute(root: str, below: str) -> str:
    return os.path.join(root, *below.split("/")) if below else root
