"""Reads the tags of Exif 2.32 (CIPA DC-008) and those that Windows added. Nothing here raises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PIL import Image
from PIL.ExifTags import GPS, IFD, Base

from imgsearch.sources.caption_text import first_line, unique_lines
from imgsearch.sources.dates import is_unknown, read_moment, read_offset
from imgsearch.sources.positions import from_parts, valid_position
from imgsearch.sources.ratings import from_percent, from_stars
from imgsearch.sources.statement import EXIF, Moment, Statement

_RATING, _RATING_PERCENT = 18246, 18249
_MAX_TEXT_CHARACTERS = 100
_ZONES: dict[int, int] = {
    Base.DateTimeOriginal: Base.OffsetTimeOriginal,
    Base.DateTimeDigitized: Base.OffsetTimeDigitized,
    Base.DateTime: Base.OffsetTime,
}
"""Dates, and the tags of their time zones."""
_PLACES_OF_HOURS: dict[int, int] = {Base.DateTime: 1}
_HALF = 1 << 15
_CODES = {
    b"ASCII\0\0\0": "ascii",
    b"UNICODE\0": "unicode",
    b"JIS\0\0\0\0\0": "jis",
    b"\0" * 8: "undefined",
}

Tags = Mapping[int, Any]


def read_exif(exif: Image.Exif) -> Statement:
    """The statements of EXIF; a tag with an invalid value counts as absent.

    Some programs write the tags of the Exif directory into the main one, so both are read.
    """
    main, details, gps = tags(exif), tags(exif, IFD.Exif), tags(exif, IFD.GPSInfo)
    both = {**main, **details}
    original = _stamp(both, Base.DateTimeOriginal)
    comment = _user_comment(both.get(Base.UserComment), exif.endian or "<")
    return Statement(
        source=EXIF,
        taken=_moment(both, Base.DateTimeOriginal),
        taken_unknown=is_unknown(original),
        digitized=_moment(both, Base.DateTimeDigitized),
        edited=_moment(both, Base.DateTime),
        position=_position(gps),
        camera_make=short_text(main.get(Base.Make)),
        camera_model=short_text(main.get(Base.Model)),
        title=first_line([_utf16(main.get(Base.XPTitle))]),
        description=first_line(
            (
                _plain(main.get(Base.ImageDescription)),
                _utf16(main.get(Base.XPSubject)),
                _utf16(main.get(Base.XPComment)),
                comment,
            )
        ),
        keywords=unique_lines(_utf16(main.get(Base.XPKeywords)).split(";")),
        rating=_rating(main),
    )


def tags(exif: Image.Exif, ifd: int | None = None) -> Tags:
    """The tags of a directory, the main one by default; none if it cannot be read."""
    try:
        return dict(exif) if ifd is None else dict(exif.get_ifd(ifd))
    except Exception:  # broken EXIF makes the parser raise nearly anything
        return {}


def short_text(value: Any) -> str:
    """A tag as text up to the first NUL, without control characters; "" for other values."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return ""
    printable = "".join(c for c in value.partition("\0")[0] if c.isprintable())
    return printable.strip()[:_MAX_TEXT_CHARACTERS].strip()


# Dates


def _stamp(tags: Tags, tag: int) -> str:
    value = tags.get(tag)
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else value
    return text[:_MAX_TEXT_CHARACTERS] if isinstance(text, str) else ""


def _moment(tags: Tags, tag: int) -> Moment | None:
    """A date with its time zone, or with the zone of another date if that is the same time."""
    stamp = _stamp(tags, tag)
    same = [tag, *(each for each in _ZONES if each != tag and _stamp(tags, each) == stamp)]
    zones = (_zone(tags, each) for each in same)
    return read_moment(stamp, next(filter(None, zones), ""))


def _zone(tags: Tags, tag: int) -> str:
    """The time zone of a date; "" if it is not stated or not valid.

    TIFF/EP (ISO 12234-2) has signed hours for DateTimeOriginal and, in second place, for DateTime.
    """
    offset = _plain(tags.get(_ZONES[tag])).strip()
    if read_offset(offset) is not None:
        return offset
    hours = tags.get(Base.TimeZoneOffset)
    hours = hours if isinstance(hours, tuple) else (hours,)
    place = _PLACES_OF_HOURS.get(tag, 0)
    if place >= len(hours) or not isinstance(hours[place], int):
        return ""
    signed = (hours[place] + _HALF) % (2 * _HALF) - _HALF  # some declare it as unsigned
    return f"{signed:+03d}:00" if abs(signed) < 24 else ""


# Places


def _position(gps: Tags) -> tuple[float, float] | None:
    if short_text(gps.get(GPS.GPSStatus)) == "V":  # the receiver had no fix
        return None
    latitude = _degrees(gps.get(GPS.GPSLatitude), gps.get(GPS.GPSLatitudeRef), "NS")
    longitude = _degrees(gps.get(GPS.GPSLongitude), gps.get(GPS.GPSLongitudeRef), "EW")
    return valid_position(latitude, longitude)


def _degrees(value: Any, reference: Any, signs: str) -> float | None:
    letter = short_text(reference).upper()
    if not isinstance(value, tuple) or len(value) != 3 or len(letter) != 1 or letter not in signs:
        return None
    try:
        total = from_parts(*(float(part) for part in value))
    except (TypeError, ValueError, ArithmeticError):
        return None
    return total if total is None or letter == signs[0] else -total


# Texts


def _rating(main: Tags) -> int | None:
    stars, percent = main.get(_RATING), main.get(_RATING_PERCENT)
    rating = from_stars(stars) if isinstance(stars, int) else None
    return rating if rating or not isinstance(percent, int) else from_percent(percent)


def _plain(value: Any) -> str:
    """An ASCII tag; many programs write UTF-8, which Pillow reads as Latin-1."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    text = str(value or "")
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def _utf16(value: Any) -> str:
    try:
        data = bytes(value) if isinstance(value, (bytes, tuple)) else b""
    except (TypeError, ValueError):  # a tuple of other things than bytes
        return ""
    return data.decode("utf-16-le", "ignore").partition("\0")[0]


def _user_comment(value: Any, endian: str) -> str:
    """A UserComment: eight bytes name the encoding, and padding often follows the text."""
    if isinstance(value, str):
        return _plain(value)
    if not isinstance(value, bytes):
        return ""
    code = _CODES.get(value[:8])
    text = value[8:] if code else value
    if code == "unicode":
        return _utf16_comment(text, endian)
    if code == "jis":
        return _japanese(text)
    text = text.split(b"\0", 1)[0]
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:  # without a valid code it may be anything
        return text.decode("latin-1") if code == "ascii" else ""


def _utf16_comment(text: bytes, endian: str) -> str:
    """UTF-16 in the order of its mark, of the zeros in most characters, or of the file.

    Exif demands the order of the file, and some programs always write little-endian. A few zeros
    prove nothing: the character 一 is 4E 00.
    """
    if text[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return text.decode("utf-16", "ignore")
    characters = (len(text.rstrip(b"\0")) + 1) // 2
    pairs = text[: 2 * characters]
    zeros = pairs[0::2].count(0) - pairs[1::2].count(0)
    if characters > 2 and 2 * abs(zeros) > characters:
        return pairs.decode("utf-16-be" if zeros > 0 else "utf-16-le", "ignore")
    return pairs.decode("utf-16-be" if endian == ">" else "utf-16-le", "ignore")


def _japanese(text: bytes) -> str:
    text = text.split(b"\0", 1)[0]
    encoding = "iso2022_jp" if b"\x1b" in text else "cp932"
    return text.decode(encoding, "ignore")
