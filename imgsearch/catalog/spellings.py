"""Plain queries, without SQLAlchemy: in SQLite's spelling, and put into PostgreSQL's."""

from __future__ import annotations

import re
import sqlite3
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from imgsearch.catalog.postgresql import PlainConnection

Plain: TypeAlias = "sqlite3.Connection | PlainConnection"
"""What runs plain queries."""


PATH_START_CHARACTERS = 640
"""Of four bytes at most: a key of PostgreSQL's B-trees has up to 2704 bytes."""


def path_start(path: str) -> str:
    """What PostgreSQL has in place of a path in its indexes, in the order of paths."""
    return f"left({path}, {PATH_START_CHARACTERS})"


def between(path: str, low: str, high: str, *, server: bool) -> str:
    """The condition that a path sorts between two others, such that an index answers it."""
    condition = f"{path} > {low} AND {path} < {high}"
    if server:
        starts = f"BETWEEN {path_start(low)} AND {path_start(high)}"
        condition = f"{path_start(path)} {starts} AND {condition}"
    return f"({condition})"


def ids_of_json(mark: str) -> str:
    """A subquery for the ids of the JSON array in a value."""
    values = f"json_array_elements_text(CAST({mark} AS json))"
    return f"(SELECT CAST(value AS bigint) FROM {values})"  # noqa: S608 - the mark of a value


_SPELLINGS = (
    (re.compile(r"(?<=[ (])\+(?=[a-z])"), ""),  # keeps SQLite from an index
    (re.compile(r"\(SELECT value FROM json_each\((.+?)\)\)"), lambda m: ids_of_json(m[1])),
    (re.compile(r"CAST\((\w+) AS BLOB\)"), r"convert_to(\1, 'UTF8')"),
    (re.compile(r"\binstr\("), "strpos("),
    (re.compile(r"\bCROSS JOIN (\w+)(?=\s+ON\b)"), r"JOIN \1"),  # an order of tables for SQLite
)


@lru_cache(200)
def for_postgresql(query: str) -> str:
    """A query in SQLite's spelling, in that of PostgreSQL; the marks of values stay."""
    for pattern, spelling in _SPELLINGS:
        query = pattern.sub(spelling, query)
    return query


def glob_regex(pattern: str) -> str:
    """A pattern of SQLite's GLOB as a regular expression of PostgreSQL.

    A class that SQLite does not find the end of matches nothing; so does an empty one.
    """
    parts, at = [], 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "[":
            part, at = _class_regex(pattern, at)
        else:
            part = {"*": ".*", "?": "."}.get(char) or _literal(char)
        parts.append(part)
    return f"^{''.join(parts)}$"


_NOTHING = "(?!)"


def _class_regex(pattern: str, at: int) -> tuple[str, int]:
    """A class of GLOB whose bracket was before `at`, and where the pattern goes on."""
    outside = pattern[at : at + 1] == "^"
    start = at + outside
    end = pattern.find("]", start + 1)  # a bracket that comes first is a character of the class
    if end < 0:
        return _NOTHING, len(pattern)
    ranges = list(_ranges(pattern[start:end]))
    if not ranges:
        return ("." if outside else _NOTHING), end + 1
    return f"[{'^' if outside else ''}{''.join(ranges)}]", end + 1


def _ranges(text: str) -> list[str]:
    """The characters and ranges of a class; a range that goes backwards has no characters."""
    at = int(text.startswith("]"))  # which begins no range
    found, last = [_literal("]")] * at, ""
    while at < len(text):
        if text[at] == "-" and last and at + 1 < len(text):
            if last <= text[at + 1]:
                found.append(f"{_literal(last)}-{_literal(text[at + 1])}")
            at, last = at + 2, ""
        else:
            last = text[at]
            found.append(_literal(last))
            at += 1
    return found


def _literal(char: str) -> str:
    return f"\\{char}" if char.isascii() and not char.isalnum() else char
