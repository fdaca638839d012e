"""Reads IPTC-IIM (version 4) and the Photoshop resources that hold it. Nothing here raises."""

from __future__ import annotations

from collections.abc import Iterator

from imgsearch.sources.caption_text import first_line, unique_lines
from imgsearch.sources.dates import is_unknown, read_moment
from imgsearch.sources.statement import IPTC, Moment, Statement

IPTC_RESOURCE, EXIF_RESOURCE, XMP_RESOURCE = 1028, 1058, 1060

_MAX_BYTES = 1 << 20
_UTF8 = b"\x1b%G"

Records = dict[tuple[int, int], list[bytes]]
"""Record and number of a dataset -> its values."""


def read_iptc(data: bytes) -> Statement:
    """The statements of a block of datasets; empty if it is none."""
    records = _records(data[:_MAX_BYTES])
    utf8 = _UTF8 in records.get((1, 90), ())

    def texts(*numbers: int) -> list[str]:
        values = (value for number in numbers for value in records.get((2, number), ()))
        return [_decoded(value, utf8) for value in values]

    title, headline = first_line(texts(5)), first_line(texts(105))
    original = _date(texts(55), texts(60))
    return Statement(
        source=IPTC,
        taken=_moment(original),
        taken_unknown=is_unknown(original),
        digitized=_moment(_date(texts(62), texts(63))),
        title=title or headline,
        description=first_line([*texts(120), title and headline]),
        keywords=unique_lines(texts(25)),
        city=first_line(texts(90)),
        state=first_line(texts(95)),
        country=first_line(texts(101)),
    )


def resources(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and content of consecutive Photoshop image resources."""
    at = 0
    while data[at : at + 4] == b"8BIM" and at + 12 <= len(data):
        number = int.from_bytes(data[at + 4 : at + 6], "big")
        start = at + 6 + (data[at + 6] + 2) // 2 * 2  # a name, with its length, padded to even
        size = int.from_bytes(data[start : start + 4], "big")
        yield number, data[start + 4 : start + 4 + size]
        at = start + 4 + (size + 1) // 2 * 2


def _records(data: bytes) -> Records:
    records: Records = {}
    at = 0
    while at + 5 <= len(data) and data[at] == 0x1C:
        record, number = data[at + 1], data[at + 2]
        size = int.from_bytes(data[at + 3 : at + 5], "big")
        at += 5
        if size & 0x8000:  # the size of the size
            width = size & 0x7FFF
            size = int.from_bytes(data[at : at + width], "big")
            at += width
        records.setdefault((record, number), []).append(data[at : at + size])
        at += size
    return records


def _decoded(value: bytes, utf8: bool) -> str:
    """IIM text: UTF-8 if valid, as many programs write it undeclared, else as declared."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("utf-8" if utf8 else "latin-1", "replace")


def _date(dates: list[str], times: list[str]) -> str:
    return f"{dates[0].strip()} {times[0].strip() if times else ''}" if dates else ""


def _moment(text: str) -> Moment | None:
    return read_moment(text) if text else None
