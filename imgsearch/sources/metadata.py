"""Converts EXIF to `ImageMetadata`. Nothing here raises, whatever the tags contain.

Tags and value ranges follow the Exif 2.32 standard (CIPA DC-008).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from PIL import Image
from PIL.ExifTags import GPS, IFD, Base

from imgsearch.records import ImageMetadata
from imgsearch.sources.captions import Captions

_TIMESTAMP = re.compile(r"(\d{4})[:/.-](\d\d?)[:/.-](\d\d?)[ T]+(\d\d?):(\d\d?)(?::(\d\d?))?")
_YEARS = range(1826, 2201)  # from the oldest surviving photograph
_MAX_TEXT_CHARACTERS = 100

Tags = Mapping[int, Any]


def read_metadata(
    exif: Image.Exif,
    width: int,
    height: int,
    format: str,
    orientation: int = 1,
    captions: Captions | None = None,
) -> ImageMetadata:
    """The metadata of an image; a tag with an invalid value counts as absent.

    Parameters
    ----------
    width, height : int
        Size of the full, upright image in pixels.
    """
    main, details, gps = _tags(exif, None), _tags(exif, IFD.Exif), _tags(exif, IFD.GPSInfo)
    latitude, longitude = _position(gps)
    return ImageMetadata(
        width=width,
        height=height,
        format=format,
        orientation=orientation,
        taken_at=_taken_at(main, details),
        camera_make=_text(main.get(Base.Make)),
        camera_model=_text(main.get(Base.Model)),
        latitude=latitude,
        longitude=longitude,
        title=captions.title or None if captions else None,
        description=captions.description or None if captions else None,
        keywords=captions.keywords if captions else (),
    )


def orientation_of(exif: Image.Exif) -> int:
    """The EXIF orientation, 1 to 8; 1 if it is missing or invalid."""
    value = _tags(exif, None).get(Base.Orientation)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _tags(exif: Image.Exif, ifd: int | None) -> Tags:
    try:
        return dict(exif) if ifd is None else dict(exif.get_ifd(ifd))
    except Exception:  # broken EXIF makes the parser raise nearly anything
        return {}


def _taken_at(main: Tags, details: Tags) -> datetime | None:
    stamps = (
        details.get(Base.DateTimeOriginal),
        details.get(Base.DateTimeDigitized),
        main.get(Base.DateTime),
    )
    moments = (_moment(stamp) for stamp in stamps)
    return next((moment for moment in moments if moment), None)


def _moment(stamp: Any) -> datetime | None:
    match = _TIMESTAMP.match(_text(stamp) or "")
    if not match:
        return None
    try:
        moment = datetime(*(int(part or 0) for part in match.groups()))  # type: ignore[arg-type]
    except ValueError:
        return None
    return moment if moment.year in _YEARS else None


def _text(value: Any) -> str | None:
    """A tag as text up to the first NUL, without control characters; None if that is empty."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return None
    printable = "".join(c for c in value.partition("\0")[0] if c.isprintable())
    return printable.strip()[:_MAX_TEXT_CHARACTERS].strip() or None


def _position(gps: Tags) -> tuple[float, float] | tuple[None, None]:
    if _text(gps.get(GPS.GPSStatus)) == "V":  # the receiver had no fix
        return None, None
    latitude = _degrees(gps.get(GPS.GPSLatitude), gps.get(GPS.GPSLatitudeRef), "NS", 90)
    longitude = _degrees(gps.get(GPS.GPSLongitude), gps.get(GPS.GPSLongitudeRef), "EW", 180)
    if latitude is None or longitude is None:
        return None, None
    return latitude, longitude


def _degrees(value: Any, reference: Any, signs: str, limit: int) -> float | None:
    """Signed degrees from degrees, minutes and seconds; None if a part is out of range."""
    letter = (_text(reference) or "").upper()
    if not isinstance(value, tuple) or len(value) != 3 or len(letter) != 1 or letter not in signs:
        return None
    try:
        degrees, minutes, seconds = (float(part) for part in value)
    except (TypeError, ValueError, ArithmeticError):
        return None
    total = degrees + minutes / 60 + seconds / 3600
    if not (math.isfinite(total) and 0 <= minutes <= 60 and 0 <= seconds <= 60):
        return None
    if not 0 <= total <= limit:
        return None
    return total if letter == signs[0] else -total
