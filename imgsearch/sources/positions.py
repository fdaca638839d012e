"""Positions on the Earth as files state them. Nothing here raises."""

from __future__ import annotations

import math
import re

_MAX_CHARACTERS = 60
_NOWHERE_DEGREES = 1e-4
_NUMBER = r"(\d{1,3}(?:\.\d*)?|\.\d+)"
_DEGREES = re.compile(
    rf"([-+]?){_NUMBER}(?:(?:[,°\s]|deg)+{_NUMBER}(?:[,'′\s]+{_NUMBER})?)?"
    rf"(?:[°'′\"″\s]|deg)*([NSEW]?)",
    re.IGNORECASE | re.ASCII,
)


def valid_position(latitude: float | None, longitude: float | None) -> tuple[float, float] | None:
    """Latitude and longitude in degrees (WGS 84); None if they are not a place.

    Devices without a fix write 0,0, where there is only water.
    """
    if latitude is None or longitude is None:
        return None
    if not (abs(latitude) <= 90 and abs(longitude) <= 180):  # NaN is in no range
        return None
    if abs(latitude) < _NOWHERE_DEGREES and abs(longitude) < _NOWHERE_DEGREES:
        return None
    return latitude, longitude


def read_degrees(text: str, reference: str = "") -> float | None:
    """Signed degrees from "48,51.5N" and "48,51,30N" (XMP), "48.8583" or 48° 51' 30" N.

    Parameters
    ----------
    reference : str, optional
        "N", "S", "E" or "W" from a tag of its own.
    """
    match = _DEGREES.fullmatch(text[:_MAX_CHARACTERS].strip())
    if match is None:
        return None
    letter = (match[5] or reference.strip()[:1]).upper()
    total = from_parts(float(match[2]), float(match[3] or 0), float(match[4] or 0))
    return None if total is None else -total if match[1] == "-" or letter in ("S", "W") else total


def from_parts(degrees: float, minutes: float, seconds: float) -> float | None:
    """Degrees from degrees, minutes and seconds; None if a part is out of range."""
    total = degrees + minutes / 60 + seconds / 3600
    valid = math.isfinite(total) and degrees >= 0 and 0 <= minutes <= 60 and 0 <= seconds <= 60
    return total if valid else None
