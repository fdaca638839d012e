"""What one source of metadata (EXIF, XMP, IPTC, a sidecar, a file name) states about an image."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Moment:
    """A date as far as it is known.

    Attributes
    ----------
    start : datetime
        Local time, without time zone; the parts that are unknown are the lowest possible.
    precision : {"year", "month", "day", "second"}
        Unit of the last known part.
    utc_offset_minutes : int or None
        Local time minus UTC.
    """

    start: datetime
    precision: str = "second"
    utc_offset_minutes: int | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """The statements of one source; None, "" and () where it states nothing.

    Attributes
    ----------
    taken : Moment or None
        Time of the exposure.
    position : (float, float) or None
        Latitude and longitude in degrees, WGS 84, north and east positive.
    rating : int or None
        -1 (rejected) to 5.
    """

    taken: Moment | None = None
    position: tuple[float, float] | None = None
    title: str = ""
    description: str = ""
    keywords: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    city: str = ""
    state: str = ""
    country: str = ""
    rating: int | None = None
