"""Reads full and partial dates in the forms that files and programs use. Nothing here raises.

The forms are those of Exif 2.32 ("2019:03:21 11:04:22", unknown parts blank or zero), of XMP and
ISO 8601 ("2009", "2009-05-04T12:01:02.5+02:00"), of IPTC-IIM ("20090504", "120102+0200"), of RFC
1123 and of C's asctime, which the texts in PNG use. A part that cannot be (month 13, hour 24) is
unknown, and the parts before it are kept.
"""

from __future__ import annotations

import re
from datetime import datetime

from imgsearch.sources.statement import Moment

YEARS = range(1826, 2201)
"""From the oldest surviving photograph."""

_MAX_CHARACTERS = 80
_PARTS = re.compile(r"(\d{4})(?!\d)(?:[-:/.] ?(\d\d?)(?!\d)(?:[-:/.] ?(\d\d?)(?!\d))?)?")
_COMPACT = re.compile(r"(\d{4})(\d\d)(\d\d)(?!\d|\.\d)")
_COMPACT_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(?=\d{6}(?!\d))")
_DAY_FIRST = re.compile(r"(\d\d?)([./-])(\d\d?)\2(\d{4})(?!\d)")
_TIME = re.compile(
    r"[T :]*(\d\d?):(\d\d?)(?::(\d\d?)(?:[.,]\d+)?)?\s*([AaPp])?\.?[Mm]?\.?\s*", re.ASCII
)
_PLAIN_TIME = re.compile(r"[T ]*(\d\d)(\d\d)(\d\d)?(?!\d)(?:[.,]\d+)?\s*()", re.ASCII)
_OFFSET = re.compile(
    r"((?:UTC|GMT)?([-+\u2212])(\d\d|\d(?=:)):?(\d\d)?|Z|UTC|GMT)", re.ASCII | re.IGNORECASE
)
_ZONE = re.compile(r"GMT|UTC?|[+]0000|Z$", re.IGNORECASE)
_MAX_OFFSET_HOURS = 14


def read_moment(text: str, offset: str = "") -> Moment | None:
    """The moment that a text states; None if it states no year.

    Parameters
    ----------
    offset : str, optional
        Time zone from a tag of its own, such as "+02:00"; used if the text has none.
    """
    text = text.partition("\0")[0].strip()[:_MAX_CHARACTERS]
    if not text.isascii():
        text = text.replace("\u2212", "-").replace("\u202f", " ").replace("\xa0", " ")
    return _numeric(text, offset) or _worded(text)


def is_unknown(text: str) -> bool:
    """True for a date that Exif writes for an unknown one: only blanks, zeros and separators."""
    date = text.partition("\0")[0]
    return bool(date) and not date.strip(" 0:-/.T+Z?")


def read_offset(text: str) -> int | None:
    """Minutes of local time minus UTC from "+02:00", "-0330" or "Z"; None if it is not valid."""
    match = _OFFSET.match(text.strip())
    if match is None:
        return None
    hours, minutes = int(match[3] or 0), int(match[4] or 0)
    if hours > _MAX_OFFSET_HOURS or minutes > 59:
        return None
    return (-1 if match[2] in ("-", "\u2212") else 1) * (60 * hours + minutes)


def known_parts(year: int, month: int, day: int) -> Moment | None:
    """The date up to its last valid part; None if the year is not valid."""
    if year not in YEARS:
        return None
    if not 1 <= month <= 12:
        return Moment(datetime(year, 1, 1), "year")
    try:
        return Moment(datetime(year, month, day), "day")
    except ValueError:
        return Moment(datetime(year, month, 1), "month")


def at_time(date: Moment, hour: int, minute: int, second: int, offset: int | None) -> Moment:
    """The date with its time of day; the date alone if the time is not valid.

    Second 60 is the leap second, which `datetime` cannot hold: it becomes second 59.
    """
    if date.precision != "day" or not (0 <= hour <= 23 and 0 <= minute <= 59):
        return date
    second = min(second, 59) if second <= 60 else 0
    start = date.start.replace(hour=hour, minute=minute, second=second)
    return Moment(start, "second", offset)


def _numeric(text: str, offset: str) -> Moment | None:
    match = _COMPACT_TIME.match(text) or _COMPACT.match(text) or _PARTS.match(text)
    if match is not None:
        parts = [int(part or 0) for part in match.groups()]
    else:
        match = _DAY_FIRST.match(text)
        if match is None:
            return None
        parts = _year_first(int(match[1]), int(match[3]), int(match[4]), match[2])
    date = known_parts(*parts)
    return None if date is None else _with_time(date, text[match.end() :], offset)


def _year_first(first: int, second: int, year: int, separator: str) -> list[int]:
    """Year, month and day; month and day are 0 for "4/5/2019", which may be in April or May."""
    if separator == "." or first > 12 or first == second:
        return [year, second, first]
    return [year, first, second] if second > 12 else [year, 0, 0]


def _with_time(date: Moment, rest: str, offset: str) -> Moment:
    match = _TIME.match(rest) or _PLAIN_TIME.match(rest)
    if match is None:
        return date
    hour = int(match[1])
    half = match[4].upper() if match[4] else ""
    if half and 1 <= hour <= 12:
        hour = hour % 12 + (12 if half == "P" else 0)
    zone = read_offset(rest[match.end() :])
    zone = read_offset(offset) if zone is None else zone
    return at_time(date, hour, int(match[2]), int(match[3] or 0), zone)


def _worded(text: str) -> Moment | None:
    """ "Thu, 21 Mar 2019 11:04:22 +0000", "Thu Mar 21 11:04:22 2019" or "21 March 2019"."""
    from email.utils import parsedate_tz  # slow to import, and such dates are rare

    timed = ":" in text
    try:
        parsed = parsedate_tz(text if timed else f"{text} 00:00:00")
    except (ValueError, IndexError, OverflowError, TypeError):
        return None
    date = known_parts(*parsed[:3]) if parsed else None
    if parsed is None or date is None or not timed:
        return date
    zone = (parsed[9] or 0) // 60 if parsed[9] or _ZONE.search(text) else None
    return at_time(date, parsed[3], parsed[4], parsed[5], zone)
