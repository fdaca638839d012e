"""Which pictures a search may find: a filter is a small tree of values.

    And(parts)  Or(parts)  Not(part)          parts are filters
    Compare(field, op, value)                 a field of the catalog with a value of its kind
    Has(what)  Near(place, km)  Below(path)   what is no comparison of one field

A picture either passes or it does not: a comparison with a field that the picture lacks (no date,
no position, no camera) is false, and `Not` of it is true.

`str(filter)` is the filter in the language of `--where`, and reads back as the same filter.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from imgsearch.errors import QueryError

DEFAULT_KM = 10.0
"""How far `near` looks when no distance is given: a city and its surroundings."""

MOST_LEAVES = 200
"""Comparisons in one filter; SQLite allows an expression to be 1000 levels deep."""
DEEPEST = 50
LONGEST_TEXT = 500


@dataclass(frozen=True, slots=True)
class And:
    """All parts pass; there are two or more."""

    parts: tuple[Filter, ...]

    def __str__(self) -> str:
        return " and ".join(f"({p})" if isinstance(p, Or) else str(p) for p in self.parts)


@dataclass(frozen=True, slots=True)
class Or:
    """Some part passes; there are two or more."""

    parts: tuple[Filter, ...]

    def __str__(self) -> str:
        return " or ".join(map(str, self.parts))


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not pass."""

    part: Filter

    def __str__(self) -> str:
        return f"not ({self.part})" if isinstance(self.part, And | Or) else f"not {self.part}"


@dataclass(frozen=True, slots=True)
class Compare:
    """A field against a value.

    Attributes
    ----------
    field : str
        One of `fields.FIELDS`.
    op : str
        "=", "<", "<=", ">" or ">="; for texts "=" and "~", for dates "<" and ">=".
    value : str, int, float or datetime
        As the kind of the field wants it. Texts are `folded`; after "~" they are a pattern.
    """

    field: str
    op: str
    value: str | int | float | datetime

    def __str__(self) -> str:
        return f"{self.field} {self.op} {_written(self.value)}"


@dataclass(frozen=True, slots=True)
class Has:
    """The picture tells its "date", "gps" position or "camera"."""

    what: str

    def __str__(self) -> str:
        return f"has {self.what}"


@dataclass(frozen=True, slots=True)
class Near:
    """Taken within `km` kilometres of a place, along the great circle. Degrees, WGS 84."""

    latitude: float
    longitude: float
    km: float = DEFAULT_KM

    def __str__(self) -> str:
        return f"near({', '.join(map(_written, (self.latitude, self.longitude, self.km)))})"


@dataclass(frozen=True, slots=True)
class Below:
    """The file at `path`, which is absolute, or any file in the folder there, however deep."""

    path: str

    def __str__(self) -> str:
        return f"in {quoted(self.path)}"


Filter = And | Or | Not | Compare | Has | Near | Below


def all_of(parts: Iterable[Filter]) -> Filter | None:
    """What passes every one of the parts; None, everything, where there is none.

    Raises
    ------
    QueryError
        More than `MOST_LEAVES` comparisons, or nested deeper than `DEEPEST`.
    """
    flat = [q for p in parts for q in (p.parts if isinstance(p, And) else (p,))]
    if len(flat) < 2:
        return bounded(flat[0]) if flat else None
    return bounded(And(tuple(flat)))


def any_of(parts: Iterable[Filter]) -> Filter:
    """What passes one or more of the parts, of which there is one at least."""
    flat = [q for p in parts for q in (p.parts if isinstance(p, Or) else (p,))]
    return flat[0] if len(flat) == 1 else Or(tuple(flat))


def negated(part: Filter) -> Filter:
    """What does not pass `part`."""
    return part.part if isinstance(part, Not) else Not(part)


def bounded(whole: Filter) -> Filter:
    """The filter itself; raises `QueryError` if it is too large for the catalog."""
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
    if leaves > MOST_LEAVES or depth > DEEPEST:
        raise QueryError(
            f"the filter has {leaves} comparisons in {depth} levels; the most allowed are "
            f"{MOST_LEAVES} in {DEEPEST}",
            "Say it in fewer; a range or a pattern can stand for a list.",
        )
    return whole


def folded(text: str) -> str:
    """Text as it is compared: without regard to case, and however its accents are composed.

    Unicode's canonical caseless matching (The Unicode Standard, 3.13, D145), composed again. A byte
    of a file name that is not UTF-8 becomes U+FFFD, so that it counts as one character.
    """
    plain = _UNPRINTABLE.sub("\ufffd", text)
    caseless = unicodedata.normalize("NFD", plain).casefold()
    return unicodedata.normalize("NFC", caseless)


_UNPRINTABLE = re.compile("[\0\ud800-\udfff]")


def quoted(text: str) -> str:
    """Text in double quotes, with backslash before a double quote or a backslash."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _written(value: str | int | float | datetime) -> str:
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, datetime):
        whole_day = value.time() == datetime.min.time()
        return value.date().isoformat() if whole_day else value.isoformat()
    return f"{Decimal(repr(value)):f}"
