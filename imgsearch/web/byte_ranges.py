"""Range and conditional requests for files: RFC 9110, sections 13 and 14."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

_RANGE = re.compile(r"\s*bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*", re.IGNORECASE | re.ASCII)
"""A single range. Multiple ranges are ignored, as RFC 9110 permits."""
_TAG = re.compile(r'(?:W/)?("[^"]*")')


class NoSuchPart(Exception):
    """The requested range does not overlap the file."""


def tag_of(status: os.stat_result) -> str:
    """The entity tag of an open file; it changes when the file is written or replaced."""
    return f'"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"'


def is_named(header: str, tag: str, weakly: bool) -> bool:
    """True if a list of entity tags contains `tag` or is "*"; `weakly` ignores the W/ prefix."""
    if header.strip() == "*":
        return True
    tags = _TAG.finditer(header)
    return any(each[1] == tag and (weakly or not each[0].startswith("W/")) for each in tags)


def part_of(headers: Mapping[str, str], size: int, tag: str) -> tuple[int, int] | None:
    """Offset and length in bytes of the requested range; None for the whole file.

    Invalid ranges, and ranges of another version of the file (If-Range; dates never match), select
    the whole file.

    Raises
    ------
    NoSuchPart
        The range does not overlap the file.
    """
    match = _RANGE.fullmatch(headers.get("range", ""))
    if match is None or headers.get("if-range", tag).strip() != tag:
        return None
    first, last = match.groups()
    if not first and not last:
        return None
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1 if last else size)
        if last and int(last) < start:
            return None
    if start >= size or end <= start:
        raise NoSuchPart
    return start, end - start
