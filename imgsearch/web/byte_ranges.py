"""Parts of a file, and whether a client has it already: RFC 9110, sections 13 and 14."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

_RANGE = re.compile(r"\s*bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*", re.IGNORECASE | re.ASCII)
"""One range. Several at once are not served in parts, which is a server's right."""
_TAG = re.compile(r'(?:W/)?("[^"]*")')


class NoSuchPart(Exception):
    """The file has no byte of the range that was asked for."""


def tag_of(found: os.stat_result) -> str:
    """The entity tag of an open file: it changes when the file is written or replaced."""
    return f'"{found.st_ino:x}-{found.st_mtime_ns:x}-{found.st_size:x}"'


def is_named(header: str, tag: str, weakly: bool) -> bool:
    """True if a list of entity tags has that one, or is "*"; `weakly`, W/ makes no difference."""
    if header.strip() == "*":
        return True
    found = _TAG.finditer(header)
    return any(each[1] == tag and (weakly or not each[0].startswith("W/")) for each in found)


def part_of(headers: Mapping[str, str], size: int, tag: str) -> tuple[int, int] | None:
    """Where the part begins that is asked for, and its bytes; None for the whole file.

    What makes no sense as a range, and a range of another state of the file (If-Range; a date is
    never taken for this state), stand for the whole.

    Raises
    ------
    NoSuchPart
        There is nothing in the file there.
    """
    found = _RANGE.fullmatch(headers.get("range", ""))
    if found is None or headers.get("if-range", tag).strip() != tag:
        return None
    first, last = found.groups()
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
