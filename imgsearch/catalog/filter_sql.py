"""Filters as SQL: which pictures pass. Values are bound parameters, every one of them."""

from __future__ import annotations

import operator
import os
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    false,
    func,
    not_,
    or_,
    select,
    true,
)

from imgsearch.catalog.comparison import below
from imgsearch.catalog.tables import images, roots
from imgsearch.errors import QueryError
from imgsearch.filters.geography import box_around
from imgsearch.filters.tree import And, Below, Compare, Filter, Has, Near, Not, Or
from imgsearch.vectors import Ids

Condition = ColumnElement[bool]
Roots = Sequence[tuple[int, str]]
"""Ids and paths of the folders of the library."""

MOST = 2**31

_COLUMNS: dict[str, ColumnElement[Any]] = {
    "taken": images.c.taken_at,
    "name": images.c.name_key,
    "camera": images.c.camera_key,
    "format": images.c.format,
    "width": images.c.width,
    "height": images.c.height,
    "size": images.c.size,
    "latitude": images.c.latitude,
    "longitude": images.c.longitude,
}
_HAS = {
    "date": images.c.taken_at.is_not(None),
    "camera": images.c.camera_key.is_not(None),
    "gps": and_(images.c.latitude.is_not(None), images.c.longitude.is_not(None)),
}
_ORIENTATION = {
    "landscape": images.c.width > images.c.height,
    "portrait": images.c.width < images.c.height,
    "square": images.c.width == images.c.height,
}
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_CLASS = re.compile(r"\[[!^]?+\]?+[^\]]*\]|\[")
"""A class, in which a "]" that comes first is one of its characters; or a "[" that is none."""
_WILD = re.compile(r"[*?]|\[[!^]?+\]?+[^\]]*\]")


def passing(connection: Connection, where: Filter | None) -> Ids:
    """Ids of the present pictures that pass a filter, sorted.

    SQLite hands them over as one text, which takes a quarter of the time of as many rows.
    """
    query = select(func.group_concat(images.c.id)).where(present(connection, where))
    text = connection.execute(query).scalar_one() or ""
    return np.sort(np.fromstring(text, np.int64, sep=","))


def count(connection: Connection, where: Filter | None) -> int:
    """How many present pictures pass a filter."""
    query = select(func.count()).select_from(images).where(present(connection, where))
    return int(connection.execute(query).scalar_one())


def newest(connection: Connection, where: Filter | None, limit: int) -> list[int]:
    """Ids of present pictures that pass a filter, by date, newest first.

    Pictures without a date come last, by the time of their files.
    """
    date, time = images.c.taken_at.desc(), images.c.mtime_ns.desc()  # SQLite: NULL is least
    query = select(images.c.id).where(present(connection, where))
    ordered = query.order_by(date, time, images.c.root_id, images.c.path)
    return list(connection.execute(ordered.limit(min(limit, MOST))).scalars())


def present(connection: Connection, where: Filter | None) -> Condition:
    """The pictures of the catalog that are there and pass."""
    there = images.c.status == "present"
    if where is None:
        return there
    found: Roots = [(row.id, row.path) for row in connection.execute(select(roots))]
    return and_(there, condition(where, found))


def condition(where: Filter, known: Roots, wanted: bool = True) -> Condition:
    """What is true of a picture exactly if it passes (if it does not, with `wanted` false).

    SQL's third truth value would make "not (taken after 2020)" fail for a picture without a date.
    So `not` is moved down to the comparisons, and there an unknown one counts as false first.
    """
    match where:
        case And(parts) | Or(parts):
            join = and_ if isinstance(where, And) == wanted else or_
            return join(*(condition(part, known, wanted) for part in parts))
        case Not(part):
            return condition(part, known, not wanted)
        case _:
            passes = _leaf(where, known)
            return passes if wanted else not_(func.coalesce(passes, false()))


def _leaf(where: Compare | Has | Near | Below, known: Roots) -> Condition:
    match where:
        case Compare("orientation", _, value):
            return _ORIENTATION[str(value)]
        case Compare(field, "~", value):
            return _COLUMNS[field].op("GLOB", is_comparison=True)(glob(str(value)))
        case Compare(field, op, value):
            compared: Condition = _OPERATORS[op](_COLUMNS[field], value)
            return compared
        case Has(what):
            return _HAS[what]
        case Near():
            return _near(where)
        case Below(path):
            return _below(path, known)


def glob(pattern: str) -> str:
    """A pattern in the notation of SQLite's GLOB, for which every "[" begins a class.

    A pattern without wildcards may stand anywhere.
    """
    noted = _CLASS.sub(lambda found: _class(found[0]), pattern)
    return noted if _WILD.search(pattern) else f"*{noted}*"


def _class(text: str) -> str:
    if text == "[":
        return "[[]"
    return "[^" + text[2:] if text[1] == "!" else text


def _near(place: Near) -> Condition:
    """First the box, which an index answers, then the distance of the few that are in it."""
    box = box_around(place.latitude, place.longitude, place.km)
    far = func.distance_km(images.c.latitude, images.c.longitude, place.latitude, place.longitude)
    return and_(
        images.c.latitude.between(box.south, box.north),
        or_(*(images.c.longitude.between(west, east) for west, east in box.longitudes)),
        far <= place.km,
    )


def _below(path: str, known: Roots) -> Condition:
    """The pictures at or below a path, which lies in a folder of the library or holds some.

    A folder of the library may be a link by now, or be reached through one.
    """
    ways = (path, os.path.realpath(path))
    found = {
        (root_id, scope)
        for root_id, root in known
        for folder in (root, os.path.realpath(root))
        for way in ways
        if (scope := relative(way, folder)) is not None
    }
    if not found:
        raise QueryError(
            f"{path} is not in a folder of this library",
            "'imgsearch roots' lists its folders; 'imgsearch index' adds one.",
        )
    if all((root_id, "") in found for root_id, _ in known):
        return true()
    return or_(*(and_(images.c.root_id == i, at_or_below(scope)) for i, scope in sorted(found)))


def relative(path: str, root: str) -> str | None:
    """A path as seen from a root: "" if it is or holds the root, None if they lie apart."""
    if path == root or root.startswith(path.rstrip(os.sep) + os.sep):
        return ""
    start = root.rstrip(os.sep) + os.sep
    return path[len(start) :].replace(os.sep, "/") if path.startswith(start) else None


def at_or_below(scope: str) -> Condition:
    """The picture at a path of its root, or those in the folder there; all of them for ""."""
    if not scope:
        return true()
    return or_(images.c.path == scope, below(images.c.path, scope))
