"""Reads the metadata files beside an image.

They are as hostile as images are, so the decoder processes read them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from imgsearch.records import ImageFile
from imgsearch.sources.caption_text import first_line, unique_lines
from imgsearch.sources.dates import YEARS
from imgsearch.sources.formats import extension
from imgsearch.sources.guarded_files import Unusable, read_below
from imgsearch.sources.positions import valid_position
from imgsearch.sources.sidecars import folded_name
from imgsearch.sources.statement import SIDECAR, TAKEOUT, Moment, Statement
from imgsearch.sources.xmp import read_xmp

MAX_SIDECAR_BYTES = 4 << 20
"""Larger files beside an image are ignored."""

_TAKEOUT_KEYS = frozenset(("photoTakenTime", "creationTime", "geoData", "googlePhotosOrigin"))


def read_sidecars(file: ImageFile) -> list[Statement]:
    """The statements of the metadata files beside an image.

    One that is too large, broken, or a link that leads out of the root states nothing.
    """
    return list(_statements(file))


def _statements(file: ImageFile) -> Iterator[Statement]:
    folder = os.path.dirname(file.absolute)
    for name in file.sidecars:
        try:
            data = read_below(os.path.join(folder, name), [file.root, folder], MAX_SIDECAR_BYTES)
        except Unusable:
            continue
        if extension(name) == "xmp":
            yield replace(read_xmp(data), source=SIDECAR)
        else:
            yield read_takeout(data, file.path)


def read_takeout(data: bytes, path: str = "") -> Statement:
    """The statement of a JSON file of Google Takeout; empty for any other file.

    Parameters
    ----------
    path : str
        Path of the image. A title counts only if it says more than the name of the file, which it
        usually repeats.
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
        source=TAKEOUT,
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
    """A time in seconds since 1970; Takeout gives UTC without the local time zone."""
    stamp = value.get("timestamp") if isinstance(value, dict) else None
    try:
        seconds = int(stamp) if isinstance(stamp, (str, int)) else 0
        start = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        return None
    if not seconds or start.year not in YEARS:
        return None
    return Moment(start.replace(tzinfo=None), "second", 0)


def _position(values: Any) -> tuple[float, float] | None:
    """Latitude and longitude; Takeout writes 0, 0 for an unknown place."""
    return valid_position(_number(values, "latitude"), _number(values, "longitude"))


def _number(values: Any, key: str) -> float | None:
    number = values.get(key) if isinstance(values, dict) else None
    try:
        return float(number) if isinstance(number, (int, float)) else None
    except OverflowError:
        return None
