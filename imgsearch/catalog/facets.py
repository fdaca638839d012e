"""How pictures are spread: over months, folders, cameras and formats."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

from sqlalchemy import Connection, Label, Select, func, select

from imgsearch.catalog.filter_sql import Condition, present
from imgsearch.catalog.tables import images, roots
from imgsearch.filters.tree import Filter
from imgsearch.records import Facets

MOST_CAMERAS = 200


def facets(connection: Connection, where: Filter | None) -> Facets:
    """Counts of the present pictures that pass a filter."""
    passing = present(connection, where)
    count = func.count().label("pictures")
    months, cameras, folders = _months(count), _cameras(count), _folders()
    position = func.count(images.c.latitude + images.c.longitude)
    sums = select(count, func.count(images.c.taken_at).label("dated"), position.label("located"))
    whole = connection.execute(sums.select_from(images).where(passing)).one()
    return Facets(
        months={
            (int(row.month[:4]), int(row.month[5:7])): row.pictures
            for row in connection.execute(months.where(passing))
        },
        folders=_counted(connection, folders.where(passing)),
        cameras=[
            (row.camera_make, row.camera_model, row.pictures)
            for row in connection.execute(cameras.where(passing).limit(MOST_CAMERAS))
        ],
        types=_types(connection, count, passing),
        dated=whole.dated,
        located=whole.located,
        total=whole.pictures,
    )


def _months(count: Label[int]) -> Select[Any]:
    """Dates are stored as text that begins with year and month."""
    month = func.strftime("%Y-%m", images.c.taken_at).label("month")
    return select(month, count).where(month.is_not(None)).group_by(month)


def _cameras(count: Label[int]) -> Select[Any]:
    make, model = images.c.camera_make, images.c.camera_model
    known = images.c.camera_key.is_not(None)
    return select(make, model, count).where(known).group_by(make, model).order_by(count.desc())


def _types(connection: Connection, count: Label[int], passing: Condition) -> dict[str, int]:
    query = select(images.c.format, count).where(passing).group_by(images.c.format)
    return {row.format: row.pictures for row in connection.execute(query)}


def _folders() -> Select[Any]:
    """A path without its last part: SQLite has no function for that, so Python takes it off."""
    return select(roots.c.path.label("root"), images.c.path).join_from(images, roots)


def _counted(connection: Connection, query: Select[Any]) -> dict[str, int]:
    found: Counter[tuple[str, str]] = Counter()
    for root, path in connection.execute(query):
        found[root, path.rpartition("/")[0]] += 1
    return {_absolute(root, below): number for (root, below), number in found.items()}


def _absolute(root: str, below: str) -> str:
    return os.path.join(root, *below.split("/")) if below else root
