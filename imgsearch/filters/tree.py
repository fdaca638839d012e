"""Filter tree: a filter is a small tree of immutable values.

    And(parts)  Or(parts)  Not(part)          parts are filters
    Compare(field, op, value)                 a field of the catalog with a value of its kind
    Has(what)  Near(place, km)  Below(path)   conditions other than comparisons
    Box(south, west, north, east)             between parallels and meridians
    Among(ids)                                one of some pictures, made by programs

There are two truth values: a comparison with a missing field (no date, position or camera) is
false, and its `Not` is true.

`str(filter)` is the filter in the language of `--where`, and parses to the same filter, unless
`Among` is part of it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from imgsearch.errors import QueryError

DEFAULT_KM = 10.0
"""Default distance of `near`: a city and its surroundings."""

MAX_LEAVES = 200
"""Comparisons in a filter; SQLite limits the depth of an expression to 1000."""
MAX_DEPTH = 50
MAX_TEXT_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class And:
    """Passes if all of two or more parts pass."""

    parts: tuple[Filter, ...]

    def __str__(self) -> str:
        return " and ".join(f"({p})" if isinstance(p, Or) else str(p) for p in self.parts)


@dataclass(frozen=True, slots=True)
class Or:
    """Passes if any of two or more parts passes."""

    parts: tuple[Filter, ...]

    def __str__(self) -> str:
        return " or ".join(map(str, self.parts))


@dataclass(frozen=True, slots=True)
class Not:
    """Passes if the part does not."""

    part: Filter

    def __str__(self) -> str:
        return f"not ({self.part})" if isinstance(self.part, And | Or) else f"not {self.part}"


@dataclass(frozen=True, slots=True)
class Compare:
    """Compares a field with a value.

    Attributes
    ----------
    field : str
        One of `fields.FIELDS`.
    op : str
        "=", "<", "<=", ">" or ">="; for texts "=" and "~", for dates "<" and ">=".
    value : str, int, float or datetime
        A value of the field's kind. Texts are `text_keys.folded`; for "~" they are a pattern.
    """

    field: str
    op: str
    value: str | int | float | datetime

    def __str__(self) -> str:
        return f"{self.field} {self.op} {_format(self.value)}"


@dataclass(frozen=True, slots=True)
class Has:
    """Passes if the picture has a "date", a "gps" position, a "place" in words and so on.

    `fields.HAS_NAMES` lists them.
    """

    what: str

    def __str__(self) -> str:
        return f"has {self.what}"


@dataclass(frozen=True, slots=True)
class Near:
    """Taken within `km` great-circle kilometres of a place in degrees (WGS 84)."""

    latitude: float
    longitude: float
    km: float = DEFAULT_KM

    def __str__(self) -> str:
        return f"near({', '.join(map(_format, (self.latitude, self.longitude, self.km)))})"


@dataclass(frozen=True, slots=True)
class Box:
    """Taken between two parallels and two meridians, in degrees (WGS 84).

    It crosses the date line if `west` is greater than `east`.
    """

    south: float
    west: float
    north: float
    east: float

    def __str__(self) -> str:
        return f"box({', '.join(map(_format, (self.south, self.west, self.north, self.east)))})"


@dataclass(frozen=True, slots=True)
class Below:
    """The file at the absolute `path`, or any file in that folder and its subfolders."""

    path: str

    def __str__(self) -> str:
        return f"in {quoted(self.path)}"


@dataclass(frozen=True, slots=True)
class Among:
    """One of some pictures of the library. It is made by programs and has no text of `--where`.

    Attributes
    ----------
    ids : bytes
        Their ids: little-endian int64, sorted.
    """

    ids: bytes

    def __str__(self) -> str:
        return f"among {len(self.ids) // 8} pictures"

    def __repr__(self) -> str:
        return f"Among({hashlib.sha256(self.ids).hexdigest()})"


Filter = And | Or | Not | Compare | Has | Near | Box | Below | Among
Leaf = Compare | Has | Near | Box | Below | Among


def all_of(parts: Iterable[Filter]) -> Filter | None:
    """The conjunction of the parts; None, which passes everything, if there are none.

    Raises
    ------
    QueryError
        More than `MAX_LEAVES` comparisons, or nested deeper than `MAX_DEPTH`.
    """
    flat = [q for p in parts for q in (p.parts if isinstance(p, And) else (p,))]
    if len(flat) < 2:
        return bounded(flat[0]) if flat else None
    return bounded(And(tuple(flat)))


def any_of(parts: Iterable[Filter]) -> Filter:
    """The disjunction of one or more parts."""
    flat = [q for p in parts for q in (p.parts if isinstance(p, Or) else (p,))]
    return flat[0] if len(flat) == 1 else Or(tuple(flat))


def negated(part: Filter) -> Filter:
    """The negation of `part`."""
    return part.part if isinstance(part, Not) else Not(part)


def leaves(whole: Filter) -> Iterator[Leaf]:
    """The conditions of a filter that are not made of others."""
    match whole:
        case And(parts) | Or(parts):
            for part in parts:
                yield from leaves(part)
        case Not(part):
            yield from leaves(part)
        case _:
            yield whole


def subjects(whole: Filter | None) -> set[str]:
    """The fields that a filter compares, and the properties that it requires."""
    found: set[str] = set()
    for each in () if whole is None else leaves(whole):
        match each:
            case Compare(name) | Has(name):
                found.add(name)
    return found


def bounded(whole: Filter) -> Filter:
    """Return the filter; raises `QueryError` if it is too large for the catalog."""
    leaves, level, depth = 0, [whole], 0
    while level:
        depth += 1
        below: list[Filter] = []
        for node in level:
            match node:
                case And(parts) | Or(parts):
                    below.extend(parts)
                case Not(part):
                    below.append(part)
                case _:
                    leaves += 1
        level = below
    if leaves > MAX_LEAVES or depth > MAX_DEPTH:
        raise QueryError(
            f"the filter has {leaves} comparisons in {depth} levels; the limits are "
            f"{MAX_LEAVES} and {MAX_DEPTH}",
            "Use fewer; a range or a pattern can replace a list.",
        )
    return whole


def quoted(text: str) -> str:
    """Quote text; backslashes escape double quotes and backslashes."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def unquoted(text: str) -> str:
    """The text between quotes, its backslashes resolved; text without quotes as it is."""
    if text[:1] not in ("'", '"'):
        return text
    return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)


def _format(value: str | int | float | datetime) -> str:
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, datetime):
        whole_day = value.time() == datetime.min.time()
        return value.date().isoformat() if whole_day else value.isoformat()
    return f"{Decimal(repr(value)):f}"
