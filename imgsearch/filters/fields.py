"""Builds filters from text: the fields of the catalog, with their operators and values.

Both options and the language of `--where` use these functions, so that they agree.
"""

from __future__ import annotations

import difflib
import math
import os
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

from imgsearch.errors import QueryError
from imgsearch.filters.text_keys import folded
from imgsearch.filters.tree import (
    MAX_TEXT_CHARACTERS,
    Below,
    Box,
    Compare,
    Filter,
    Has,
    Near,
    all_of,
    any_of,
    negated,
)

SORTED_MEASURES = (
    "sharpness", "brightness", "shadows", "highlights", "contrast", "colourfulness",
)  # fmt: skip
FIELDS = {
    "taken": "date",
    "name": "text",
    "camera": "text",
    "title": "text",
    "description": "text",
    "keywords": "text",
    "people": "text",
    "city": "text",
    "state": "text",
    "country": "text",
    "format": "format",
    "orientation": "orientation",
    "width": "number",
    "height": "number",
    "pixels": "number",
    "size": "bytes",
    "latitude": "number",
    "longitude": "number",
    "rating": "number",
    "cluster": "cluster",
    **dict.fromkeys(SORTED_MEASURES, "number"),
    "kind": "kind",
}
"""The fields of a filter and their kinds. `keywords` and `people` have any number of values, and
pass a comparison if one of them does."""

PLACE_FIELDS = ("city", "state", "country")
"""From the smallest to the largest."""
LABELS = ("title", "description", "keywords", "people", *PLACE_FIELDS)
"""The fields written into a picture by people."""

MEASURED = (*SORTED_MEASURES, "kind")
"""The fields that are measured from the pixels of a picture: those of `records.Measures`."""

ALIASES = {"date": "taken", "taken_at": "taken", "type": "format", "lat": "latitude",
           "lon": "longitude", "stars": "rating", "keyword": "keywords", "tag": "keywords",
           "tags": "keywords", "person": "people", "colorfulness": "colourfulness",
           "exposure": "brightness"}  # fmt: skip

OPERATORS = {
    "date": ("=", "!=", "<", "<=", ">", ">="),
    "text": ("=", "!=", "~", "!~"),
    "format": ("=", "!="),
    "orientation": ("=", "!="),
    "number": ("=", "!=", "<", "<=", ">", ">="),
    "bytes": ("=", "!=", "<", "<=", ">", ">="),
    "cluster": ("=", "!=", "~", "!~"),
    "kind": ("=", "!="),
}

FORMATS = (
    "JPEG", "PNG", "HEIF", "WEBP", "GIF", "TIFF", "AVIF", "BMP", "DIB", "PPM", "JPEG2000", "ICO",
    "PCX", "PSD", "QOI", "SGI", "ICNS", "DDS", "TGA", "RAW",
)  # fmt: skip
"""The formats in the catalog, in its spelling."""

OTHER_NAMES = {"JPG": "JPEG", "MPO": "JPEG", "HEIC": "HEIF", "TIF": "TIFF", "JP2": "JPEG2000",
               "PGM": "PPM", "PBM": "PPM"}  # fmt: skip

KINDS = ("photo", "screenshot", "document")
ORIENTATIONS = ("landscape", "portrait", "square")
_CHOICES = {"kind": KINDS, "orientation": ORIENTATIONS}
HAS_NAMES = {"date": "date", "gps": "gps", "camera": "camera", "title": "title",
        "description": "description", "keywords": "keywords", "people": "people", "place": "place",
        "rating": "rating", "cluster": "cluster", "measures": "measures",
        "taken": "date", "position": "gps", "keyword": "keywords", "tags": "keywords",
        "person": "people"}  # fmt: skip
"""Word after `has` -> property of a picture. A place is a city, state or country in words."""

MAX_INTEGER = 2**63 - 1
"""SQLite's largest integer."""

_DATE = re.compile(
    r"([0-9]{4})(?:-([0-9]{1,2})(?:-([0-9]{1,2})"
    r"(?:[T ]([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?)?)?)?"
)
_NUMBER = re.compile(r"[-+]?(?:[0-9]{1,15}(?:\.[0-9]{0,15})?|\.[0-9]{1,15})")
_CLUSTER_ID = re.compile(r"[0-9]{1,18}")
_BYTES = re.compile(r"([0-9]{1,19}(?:\.[0-9]{1,9})?)([kmg]?)b?", re.IGNORECASE)
_SIZE = re.compile(r"([0-9]{1,9})[xX×]([0-9]{1,9})")


def nearest(word: str, known: list[str] | tuple[str, ...]) -> str:
    """ "Did you mean X? " with the most similar of `known`; "" if none is similar."""
    near = difflib.get_close_matches(word.lower()[:40], [each.lower() for each in known], 1)
    return f"Did you mean {near[0]}? " if near else ""


def field_named(word: str) -> str:
    """The field named by a word; raises `QueryError` if it does not exist."""
    name = word.lower()
    name = ALIASES.get(name, name)
    if name not in FIELDS:
        raise QueryError(
            f"there is no field {_short(word)}",
            f"{nearest(word, list(FIELDS))}The fields are {', '.join(FIELDS)}.",
        )
    return name


def comparison(word: str, op: str, text: str) -> Filter:
    """Compare a field with a value, all given as text.

    Raises
    ------
    QueryError
        The field does not exist, or does not support the operator or the value.
    """
    field = field_named(word)
    require_operator(field, op)
    if op in ("!=", "!~"):
        return negated(comparison(field, op[1:], text))
    return _PARSERS[FIELDS[field]](field, op, text if FIELDS[field] == "text" else text.strip())


def require_operator(field: str, op: str) -> None:
    """Raise `QueryError` for an operator that the field does not support."""
    allowed = OPERATORS[FIELDS[field]]
    if op not in allowed:
        raise QueryError(f"{field} cannot be compared with {op}", f"Use {' or '.join(allowed)}.")


def has(what: str) -> Has:
    """Require a date, a position, a camera, a label or a place in words."""
    name = HAS_NAMES.get(what.lower())
    if name is None:
        raise QueryError(
            f"there is no {_short('has ' + what)}",
            f"{nearest(what, list(HAS_NAMES))}"
            f"Use has with {', '.join(dict.fromkeys(HAS_NAMES.values()))}.",
        )
    return Has(name)


def near(texts: list[str]) -> Near:
    """Parse latitude, longitude and optional kilometres."""
    if len(texts) not in (2, 3):
        raise QueryError(
            "a place is LATITUDE,LONGITUDE or LATITUDE,LONGITUDE,KM",
            "Paris and 5 km around it: 48.8566,2.3522,5",
        )
    latitude = _within("a latitude", texts[0], 90)
    longitude = _within("a longitude", texts[1], 180)
    if len(texts) == 2:
        return Near(latitude, longitude)
    km = _number(texts[2])
    if km <= 0:
        raise QueryError("the distance must be above 0 km", "Omit it for 10 km.")
    return Near(latitude, longitude, km)


def box(texts: list[str]) -> Box:
    """Parse the edges of a box: south, west, north, east."""
    if len(texts) != 4:
        raise QueryError("a box is SOUTH,WEST,NORTH,EAST", "Around Paris: 48.8,2.2,48.9,2.5")
    south, north = (_within("a latitude", text, 90) for text in texts[::2])
    west, east = (_within("a longitude", text, 180) for text in texts[1::2])
    if south > north:
        raise QueryError(
            f"the south of the box, {south:g}, lies above its north, {north:g}",
            "Write SOUTH,WEST,NORTH,EAST. Only a west above the east makes sense: such a box"
            " crosses the date line.",
        )
    return Box(south, west, north, east)


def below(path: str) -> Below:
    """A file or folder as typed by the user: relative to the working folder, or with ~."""
    if not path.strip() or "\0" in path:
        raise QueryError("the path of a folder is empty or not valid", "Give a folder or a file.")
    try:
        return Below(os.path.abspath(os.path.expanduser(path)))
    except OSError as error:
        raise QueryError(
            f"the working folder does not exist: {error.strerror}", "Give an absolute path."
        ) from error


def min_size(text: str) -> Filter:
    """Minimum width and height in pixels of the upright picture: "1920x1080"."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise QueryError(
            f"{_short(text)} is not a valid size in pixels", "Give width and height: 1920x1080"
        )
    width, height = int(match[1]), int(match[2])
    whole = all_of([Compare("width", ">=", width), Compare("height", ">=", height)])
    assert whole is not None
    return whole


def period(text: str) -> tuple[datetime, datetime]:
    """Start (inclusive) and end (exclusive) of a year, month, day, minute or second."""
    match = _DATE.fullmatch(text)
    hint = "Write 2023, 2023-05, 2023-05-17 or 2023-05-17T14:30."
    if match is None:
        raise QueryError(f"{_short(text)} is not a valid date", hint)
    parts = [int(part) for part in match.groups() if part is not None]
    try:
        start = datetime(*[*parts, 1, 1][: max(3, len(parts))])  # type: ignore[arg-type]
        return start, _after(start, len(parts))
    except (ValueError, OverflowError) as error:
        raise QueryError(f"there is no date {text}", hint) from error


def _after(start: datetime, parts: int) -> datetime:
    if parts == 1:
        return start.replace(year=start.year + 1)
    if parts == 2:
        return (start + timedelta(days=31)).replace(day=1)
    return (
        start
        + (timedelta(days=1), timedelta(), timedelta(minutes=1), timedelta(seconds=1))[parts - 3]
    )


def _taken(field: str, op: str, text: str) -> Filter:
    start, end = period(text)
    match op:
        case "<" | ">=":
            return Compare(field, op, start)
        case "<=":
            return Compare(field, "<", end)
        case ">":
            return Compare(field, ">=", end)
    whole = all_of([Compare(field, ">=", start), Compare(field, "<", end)])
    assert whole is not None
    return whole


def _text(field: str, op: str, text: str) -> Filter:
    plain = folded(text)  # empty for an accent without a letter
    if not plain or len(text) > MAX_TEXT_CHARACTERS:
        raise QueryError(
            f"the text for {field} is empty or longer than {MAX_TEXT_CHARACTERS} characters",
            f'Write a part of it: {field} ~ "beach"',
        )
    return Compare(field, op, plain)


def _cluster(field: str, op: str, text: str) -> Filter:
    """By id or by name."""
    if op == "=" and _CLUSTER_ID.fullmatch(text):
        return Compare(field, op, int(text))
    return _text(field, op, text)


def place(text: str) -> Filter:
    """City, state or country contain this text."""
    return any_of(comparison(field, "~", text) for field in PLACE_FIELDS)


def _format(field: str, op: str, text: str) -> Filter:
    name = text.upper()
    name = OTHER_NAMES.get(name, name)
    if name not in FORMATS:
        names = sorted(each.lower() for each in (*FORMATS, *OTHER_NAMES))
        raise QueryError(
            f"there is no picture format {_short(text)}",
            f"{nearest(text, names)}The formats are {', '.join(names)}.",
        )
    return Compare(field, op, name)


def _choice(field: str, op: str, text: str) -> Filter:
    known = _CHOICES[field]
    if text.lower() not in known:
        raise QueryError(
            f"there is no {field} {_short(text)}",
            f"{nearest(text, known)}It is {', '.join(known[:-1])} or {known[-1]}.",
        )
    return Compare(field, op, text.lower())


def _plain_number(field: str, op: str, text: str) -> Filter:
    return Compare(field, op, _number(text))


def _bytes(field: str, op: str, text: str) -> Filter:
    match = _BYTES.fullmatch(text)
    if match is None:
        raise QueryError(
            f"{_short(text)} is not a valid file size", "Write 500000, 500kB, 5MB or 1.5GB."
        )
    power = {"": 0, "k": 1, "m": 2, "g": 3}[match[2].lower()]
    return Compare(field, op, min(round(Decimal(match[1]) * 1000**power), MAX_INTEGER))


def _number(text: str) -> int | float:
    if not _NUMBER.fullmatch(text.strip()):
        raise QueryError(
            f"{_short(text)} is not a number", "Use digits, with a point for decimals: 12.5"
        )
    number = float(text)
    return int(number) if number.is_integer() else number


def _within(what: str, text: str, limit: int) -> float:
    number = float(_number(text))
    if not math.fabs(number) <= limit:
        raise QueryError(
            f"{what} must be from -{limit} to {limit} degrees, not {_short(text)}",
            "North and east are positive; latitude comes first.",
        )
    return number


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:40] + "...")


_PARSERS: dict[str, Callable[[str, str, str], Filter]] = {
    "date": _taken,
    "text": _text,
    "format": _format,
    "orientation": _choice,
    "number": _plain_number,
    "bytes": _bytes,
    "cluster": _cluster,
    "kind": _choice,
}
