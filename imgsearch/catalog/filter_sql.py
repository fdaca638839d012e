"""Filters as SQL conditions; every value is a bound parameter."""

from __future__ import annotations

import operator
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    text,
    true,
)

from imgsearch.catalog import rows
from imgsearch.catalog.comparison import below
from imgsearch.catalog.dialects import among, glob_match, joined, path_equal
from imgsearch.catalog.spellings import glob_regex
from imgsearch.catalog.tables import cluster_members, clusters, images, labels, measures, roots
from imgsearch.errors import QueryError
from imgsearch.filters.fields import LABELS, MEASURED, SORTED_MEASURES
from imgsearch.filters.geography import box_around
from imgsearch.filters.text_keys import folded
from imgsearch.filters.tree import (
    Among,
    And,
    Below,
    Box,
    Compare,
    Filter,
    Has,
    Leaf,
    Near,
    Not,
    Or,
    leaves,
    subjects,
)
from imgsearch.records import camera_name
from imgsearch.vectors import Ids

Condition = ColumnElement[bool]
Roots = Sequence[tuple[int, str]]
"""Ids and paths of the folders of the library."""
CameraKeys = Mapping[tuple[str, Any], Sequence[str]]
"""Operator and value of a comparison with a camera -> the `camera_key` of the cameras that pass."""


@dataclass(frozen=True, slots=True)
class Known:
    """Folders and cameras of the library, which conditions may name."""

    roots: Roots
    cameras: CameraKeys


_CAMERAS = text("""
    WITH RECURSIVE keys(key) AS (
        SELECT min(camera_key) FROM images WHERE status = 'present'
        UNION ALL
        SELECT (SELECT min(camera_key) FROM images WHERE status = 'present' AND camera_key > key)
        FROM keys WHERE key IS NOT NULL
    )
    SELECT key, camera_make, camera_model FROM keys JOIN images ON images.id = (
        SELECT id FROM images WHERE status = 'present' AND camera_key = key LIMIT 1
    )
""")
"""The cameras of present images. An index gives each next one, however many images it took."""

MAX_LIMIT = 2**31


def _labelled(*fields: str) -> Condition:
    """The images that have a label in one of these fields."""
    return images.c.id.in_(select(labels.c.image_id).where(labels.c.field.in_(fields)))


def _measured(condition: Condition) -> Condition:
    """The images whose measures pass a condition."""
    return images.c.content_hash.in_(select(measures.c.content_hash).where(condition))


_COLUMNS: dict[str, ColumnElement[Any]] = {
    "taken": images.c.taken_at,
    "name": images.c.name_key,
    "format": images.c.format,
    "width": images.c.width,
    "height": images.c.height,
    "pixels": images.c.width * images.c.height,
    "size": images.c.size,
    "latitude": images.c.latitude,
    "longitude": images.c.longitude,
    "rating": images.c.rating,
}
_HAS = {
    "date": images.c.taken_at.is_not(None),
    "camera": images.c.camera_key.is_not(None),
    "gps": and_(images.c.latitude.is_not(None), images.c.longitude.is_not(None)),
    "place": _labelled("city", "state", "country"),
    "rating": images.c.rating.is_not(None),
    "measures": images.c.content_hash.in_(select(measures.c.content_hash)),
    "cluster": images.c.id.in_(
        select(cluster_members.c.image_id).where(cluster_members.c.cluster_id.is_not(None))
    ),
    **{name: _labelled(name) for name in ("title", "description", "keywords", "people")},
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


def _measure_of(name: str) -> ColumnElement[Any]:
    """A measure of each image, for sorting; NULL for one that is not measured."""
    same = measures.c.content_hash == images.c.content_hash
    return select(rows.MEASURED[name]).where(same).scalar_subquery()


_PLACE = (images.c.root_id, images.c.path)
ORDERS: dict[str, tuple[ColumnElement[Any], ...]] = {
    "date": (images.c.taken_at.asc().nulls_last(), images.c.mtime_ns, *_PLACE),
    "-date": (images.c.taken_at.desc().nulls_last(), images.c.mtime_ns.desc(), *_PLACE),
    "name": (images.c.name_key, *_PLACE),
    "-name": (images.c.name_key.desc(), *_PLACE),
    "size": (images.c.size, *_PLACE),
    "-size": (images.c.size.desc(), *_PLACE),
    "pixels": (_COLUMNS["pixels"], *_PLACE),
    "-pixels": (_COLUMNS["pixels"].desc(), *_PLACE),
    **{name: (_measure_of(name).asc().nulls_last(), *_PLACE) for name in SORTED_MEASURES},
    **{f"-{name}": (_measure_of(name).desc().nulls_last(), *_PLACE) for name in SORTED_MEASURES},
}
_BEFORE = ("taken", "<")
_CLASS = re.compile(r"\[[!^]?+\]?+[^\]]*\]|\[")
"""A character class, in which a leading "]" is one of the characters; or a "[" that opens none."""
_WILD = re.compile(r"[*?]|\[[!^]?+\]?+[^\]]*\]")


def image_ids(connection: Connection, where: Filter | None) -> Ids:
    """Ids of the present images that pass a filter, sorted."""
    query = select(joined(images.c.id)).where(present(connection, where))
    text = connection.execute(query).scalar_one() or ""
    return np.sort(np.fromstring(text, np.int64, sep=","))


def count(connection: Connection, where: Filter | None) -> int:
    """The number of present images that pass a filter."""
    query = select(func.count()).select_from(images).where(present(connection, where))
    return int(connection.execute(query).scalar_one())


def newest(
    connection: Connection, where: Filter | None, limit: int, sort: str = "-date"
) -> list[int]:
    """Ids of present images that pass a filter, newest first, or in another of `ORDERS`.

    Images without a date come last, ordered by the time of their files.
    """
    _require_sortable(connection, sort)
    query = select(images.c.id).where(present(connection, where)).order_by(*ORDERS[sort])
    return list(connection.execute(query.limit(min(limit, MAX_LIMIT))).scalars())


def ordered(connection: Connection, ids: Sequence[int], sort: str) -> list[int]:
    """The ids that the catalog has, in one of `ORDERS`."""
    _require_sortable(connection, sort)
    query = select(images.c.id).where(among(images.c.id, ids))
    return list(connection.execute(query.order_by(*ORDERS[sort])).scalars())


def _require_sortable(connection: Connection, sort: str) -> None:
    if sort.removeprefix("-") in SORTED_MEASURES:
        _require_measures(connection, sort.removeprefix("-"))


def present(connection: Connection, where: Filter | None) -> Condition:
    """The condition that an image is present and passes a filter."""
    there = images.c.status == "present"
    if where is None:
        return there
    _require_clusters(connection, where)
    if measured := subjects(where) & set(MEASURED):
        _require_measures(connection, min(measured))
    folders = [(row.id, row.path) for row in connection.execute(select(roots))]
    return and_(there, condition(where, Known(folders, _camera_keys(connection, where))))


def _camera_keys(connection: Connection, where: Filter) -> CameraKeys:
    """The cameras that pass each comparison with one, by any of their spellings."""
    compared = [leaf for leaf in leaves(where) if isinstance(leaf, Compare)]
    tests = {(leaf.op, leaf.value) for leaf in compared if leaf.field == "camera"}
    if not tests:
        return {}
    spelled = [
        (row.key, spelling)
        for row in connection.execute(_CAMERAS)
        for spelling in camera_spellings(row.camera_make, row.camera_model)
    ]
    return {each: sorted(set(_passing(connection, spelled, *each))) for each in tests}


def _passing(
    connection: Connection, spelled: Sequence[tuple[str, str]], op: str, value: Any
) -> Iterator[str]:
    """Keys of the cameras with a spelling that passes; SQLite compares them as it does columns."""
    for chunk in rows.chunks(spelled):
        tests = [_compared(literal(spelling), op, value) for _, spelling in chunk]
        for (key, _), passes in zip(chunk, connection.execute(select(*tests)).one(), strict=True):
            if passes:
                yield key


def camera_spellings(make: str | None, model: str | None) -> set[str]:
    """The folded names of a camera: the name shown, its model, and make with model."""
    both = " ".join(filter(None, (make, model)))
    return {folded(each) for each in (camera_name(make, model), model, both) if each}


def condition(where: Filter, known: Known, outcome: bool = True) -> Condition:
    """A condition that holds exactly for the images that pass (or fail, if `outcome` is false).

    With SQL's third truth value, "not (taken after 2020)" would fail for an image without a date.
    So `not` is pushed down to the comparisons, where an unknown result counts as false before it
    is negated.
    """
    match where:
        case And(parts) | Or(parts):
            join = and_ if isinstance(where, And) == outcome else or_
            return join(*(condition(part, known, outcome) for part in parts))
        case Not(part):
            return condition(part, known, not outcome)
        case _:
            passes = _leaf(where, known)
            return passes if outcome else not_(func.coalesce(passes, false()))


def _leaf(where: Leaf, known: Known) -> Condition:
    match where:
        case Compare():
            return _comparison(where, known)
        case Has(what):
            return _HAS[what]
        case Near():
            return _near(where)
        case Box():
            return _box(where)
        case Below(path):
            return _below(path, known.roots)
        case Among(ids):
            return _among(ids)


def _comparison(where: Compare, known: Known) -> Condition:
    field, op, value = where.field, where.op, where.value
    if field == "camera":
        return images.c.camera_key.in_(known.cameras[op, value])
    if field == "orientation":
        return _ORIENTATION[str(value)]
    if field == "cluster":
        return _clustered(op, value)
    if field in LABELS:
        ids = select(labels.c.image_id).where(labels.c.field == field)
        return images.c.id.in_(ids.where(_compared(labels.c.key, op, value)))
    if field in MEASURED:
        return _measured(_compared(rows.MEASURED[field], op, value))
    compared = _compared(_COLUMNS[field], op, value)
    return and_(compared, *_all_before(value)) if (field, op) == _BEFORE else compared


def _cluster(op: str, value: Any) -> Condition:
    """The clusters with an id or a name."""
    if isinstance(value, int):
        return clusters.c.id == value
    return _compared(clusters.c.name_key, op, value)


def _clustered(op: str, value: Any) -> Condition:
    """The images in the clusters with an id or a name, and in those below them."""
    chosen = select(clusters.c.id).where(_cluster(op, value))
    inside = select(clusters.c.id).where(clusters.c.parent_id.in_(chosen))
    direct = cluster_members.c.cluster_id.in_(chosen), cluster_members.c.cluster_id.in_(inside)
    return images.c.id.in_(select(cluster_members.c.image_id).where(or_(*direct)))


def _require_clusters(connection: Connection, where: Filter) -> None:
    """Raise `QueryError` for a cluster that does not exist."""
    for leaf in leaves(where):
        match leaf:
            case Compare("cluster", "=", value):
                query = select(clusters.c.id).where(_cluster("=", value)).limit(1)
                if connection.execute(query).first() is None:
                    raise QueryError(
                        f"there is no cluster {value}", "'imgsearch clusters' makes and lists them."
                    )


def _require_measures(connection: Connection, field: str) -> None:
    """Raise `QueryError` if no image of the library has been measured."""
    there = select(images.c.id).where(images.c.status == "present").limit(1)
    measured = select(measures.c.content_hash).limit(1)
    if connection.execute(measured).first() is None and connection.execute(there).first():
        raise QueryError(
            f"the pictures of this library have not been measured, so their {field} is unknown",
            "Measure them once: imgsearch index --measure",
        )


def _compared(column: ColumnElement[Any], op: str, value: Any) -> Condition:
    if op == "~":
        pattern = glob(str(value))
        return glob_match(column, pattern, glob_regex(pattern))
    compared: Condition = _OPERATORS[op](column, value)
    return compared


def _all_before(moment: Any) -> list[Condition]:
    """Conditions for a partial date that starts before a moment to end before it as well.

    One that does not starts with the year, the month or the day of the moment, so the precision is
    read of only a few rows.
    """
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    starts = {"year": day.replace(month=1, day=1), "month": day.replace(day=1), "day": day}
    return [
        or_(images.c.taken_at != start, func.coalesce(images.c.taken_precision, "") != precision)
        for precision, start in starts.items()
        if start != moment
    ]


def glob(pattern: str) -> str:
    """A pattern for SQLite's GLOB, in which every "[" opens a class.

    A pattern without wildcards matches anywhere in the text.
    """
    escaped = _CLASS.sub(lambda match: _class(match[0]), pattern)
    return escaped if _WILD.search(pattern) else f"*{escaped}*"


def _class(text: str) -> str:
    if text == "[":
        return "[[]"
    return "[^" + text[2:] if text[1] == "!" else text


def _near(place: Near) -> Condition:
    """A bounding box, which an index answers, and the exact distance for the few inside it."""
    box = box_around(place.latitude, place.longitude, place.km)
    far = func.distance_km(images.c.latitude, images.c.longitude, place.latitude, place.longitude)
    return and_(_inside(box.south, box.north, box.longitudes), far <= place.km)


def _box(box: Box) -> Condition:
    whole = [(box.west, box.east)]
    parts = [(box.west, 180.0), (-180.0, box.east)]  # on the sides of the date line
    return _inside(box.south, box.north, parts if box.west > box.east else whole)


def _inside(south: float, north: float, longitudes: Sequence[tuple[float, float]]) -> Condition:
    """An index answers the latitudes, and has the longitudes."""
    return and_(
        images.c.latitude.between(south, north),
        or_(*(images.c.longitude.between(west, east) for west, east in longitudes)),
    )


def _among(ids: bytes) -> Condition:
    """The images with these ids, however many."""
    found: Condition = among(images.c.id, np.frombuffer(ids, "<i8").tolist())
    return found


def _below(path: str, known: Roots) -> Condition:
    """The images at or below a path, which is inside a folder of the library or around some.

    A folder of the library may have become a link, or be reached through one.
    """
    spellings = (path, os.path.realpath(path))
    scopes = {
        (root_id, scope)
        for root_id, root in known
        for folder in (root, os.path.realpath(root))
        for spelling in spellings
        if (scope := relative(spelling, folder)) is not None
    }
    if not scopes:
        raise QueryError(
            f"{path} is not in a folder of this library",
            "'imgsearch roots' lists its folders; 'imgsearch index' adds one.",
        )
    if all((root_id, "") in scopes for root_id, _ in known):
        return true()
    return or_(*(and_(images.c.root_id == i, at_or_below(scope)) for i, scope in sorted(scopes)))


def relative(path: str, root: str) -> str | None:
    """A path relative to a root: "" if it is or contains the root, None if they are apart."""
    if path == root or root.startswith(path.rstrip(os.sep) + os.sep):
        return ""
    start = root.rstrip(os.sep) + os.sep
    return path[len(start) :].replace(os.sep, "/") if path.startswith(start) else None


def at_or_below(scope: str) -> Condition:
    """The image at a path below its root, or the images in that folder; all of them for ""."""
    if not scope:
        return true()
    here = path_equal(images.c.path, literal(scope, images.c.path.type))
    return or_(here, below(images.c.path, scope))
