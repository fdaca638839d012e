"""Reads the metadata files beside an image, and joins them with the metadata of the image.

They are as hostile as images are, so the decoder processes read them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from imgsearch.records import ImageFile, ImageMetadata
from imgsearch.sources.caption_text import first_line, unique_lines
from imgsearch.sources.formats import extension
from imgsearch.sources.guarded_files import Unusable, read_below
from imgsearch.sources.sidecars import folded_name
from imgsearch.sources.statement import Moment, Statement
from imgsearch.sources.xmp import read_xmp

MAX_SIDECAR_BYTES = 4 << 20
"""Larger files beside an image are ignored."""

_YEARS = range(1826, 2201)
_TAKEOUT_KEYS = frozenset(("photoTakenTime", "creationTime", "geoData", "googlePhotosOrigin"))


def read_sidecars(file: ImageFile) -> Iterator[tuple[str, Statement]]:
    """What the metadata files beside an image state, each with "sidecar" or "takeout".

    One that is too large, broken, or a link that leads out of the root states nothing.
    """
    folder = os.path.dirname(file.absolute)
    for name in file.sidecars:
        try:
            data = read_below(os.path.join(folder, name), [file.root, folder], MAX_SIDECAR_BYTES)
        except Unusable:
            continue
        if extension(name) == "xmp":
            yield "sidecar", read_xmp(data)
        else:
            yield "takeout", read_takeout(data, file.path)


def read_takeout(data: bytes, path: str = "") -> Statement:
    """The statement of a JSON file of Google Takeout; empty for any other file.

    Parameters
    ----------
    path : str
        Path of the image. A title counts only if it says more than the name of the file, which it
        usually is.
    """
    try:
        values = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return Statement()
    if not isinstance(values, dict) or not _TAKEOUT_KEYS & values.keys():
        return Statement()
    people = values.get("people")
    names = [_text(each, "name") for each in people] if isinstance(people, list) else []
    return Statement(
        taken=_moment(values.get("photoTakenTime")),
        position=_position(values.get("geoData")) or _position(values.get("geoDataExif")),
        title=_title(_text(values, "title"), path),
        description=first_line([_text(values, "description")]),
        people=unique_lines(names),
    )


def _text(values: Any, key: str) -> str:
    value = values.get(key) if isinstance(values, dict) else None
    return value if isinstance(value, str) else ""


def _title(title: str, path: str) -> str:
    stem = title.rpartition(".")[0] or title
    known = folded_name(stem) in folded_name(path.rpartition("/")[2])
    return "" if known else first_line([stem])


def _moment(value: Any) -> Moment | None:
    """A time in seconds since 1970; Takeout gives UTC, and not where that was."""
    stamp = value.get("timestamp") if isinstance(value, dict) else None
    try:
        seconds = int(stamp) if isinstance(stamp, (str, int)) else 0
        start = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        return None
    if not seconds or start.year not in _YEARS:
        return None
    return Moment(start.replace(tzinfo=None), "second", 0)


def _position(value: Any) -> tuple[float, float] | None:
    """Latitude and longitude; 0, 0 is how Takeout writes that it knows none."""
    latitude, longitude = _number(value, "latitude", 90), _number(value, "longitude", 180)
    if latitude is None or longitude is None or not (latitude or longitude):
        return None
    return latitude, longitude


def _number(values: Any, key: str, limit: int) -> float | None:
    number = values.get(key) if isinstance(values, dict) else None
    if isinstance(number, (int, float)) and abs(number) <= limit:  # NaN is not
        return float(number)
    return None


def with_sidecars(metadata: ImageMetadata, file: ImageFile) -> ImageMetadata:
    """The metadata of an image together with what its sidecars state.

    XMP sidecars precede the file, because a program that writes one leaves the file alone. Takeout
    comes last, because its times have no zone and its places may be guesses. Keywords and people
    are united.
    """
    statements = list(read_sidecars(file))
    for source, stated in reversed(statements):  # so that the first overrides the next
        metadata = _joined(metadata, stated, source)
    return metadata


def _joined(metadata: ImageMetadata, stated: Statement, source: str) -> ImageMetadata:
    precedes = source == "sidecar"
    values: dict[str, Any] = {
        name: getattr(stated, name) or None
        for name in ("title", "description", "city", "state", "country")
    }
    values["rating"] = stated.rating
    chosen = {
        name: value
        for name, value in values.items()
        if value is not None and (precedes or getattr(metadata, name) is None)
    }
    if stated.taken and (precedes or metadata.taken_at is None):
        chosen["taken_at"] = stated.taken.start
        chosen["taken_precision"] = stated.taken.precision
        chosen["taken_source"] = source
        chosen["utc_offset_minutes"] = stated.taken.utc_offset_minutes
    if stated.position and (precedes or metadata.latitude is None):
        chosen["latitude"], chosen["longitude"] = stated.position
    return replace(
        metadata,
        **chosen,
        keywords=unique_lines([*metadata.keywords, *stated.keywords]),
        people=unique_lines([*metadata.people, *stated.people]),
    )
