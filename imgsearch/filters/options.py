"""The filters that have an option of their own, in one table.

The options of `imgsearch search`, the parameters of the HTTP API and the arguments of the MCP
tools are made from `FILTERS`; their values become a `Filter` here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from imgsearch.filters import fields
from imgsearch.filters.tree import And, Filter, all_of, any_of

MAX_VALUES = 32
"""Maximum number of values of one filter in a request to a server."""


@dataclass(frozen=True, slots=True)
class FilterOption:
    """A filter with an option of its own.

    Attributes
    ----------
    name : str
        Of the option, with "-" as "_", and of the parameter: "min_size".
    metavar : str
        Stands for the value in the help.
    help : str
        One sentence.
    example : str
        A value.
    read : callable
        Value to filter; raises `QueryError` for one that makes no sense.
    any_of : bool
        Any of several values suffices, because a picture has only one folder, one format and one
        shape. Otherwise all must match.
    """

    name: str
    metavar: str
    help: str
    example: str
    read: Callable[[str], Filter]
    any_of: bool = False

    @property
    def flag(self) -> str:
        """The option of the command line."""
        return "--" + self.name.replace("_", "-")


def _field(name: str, operator: str) -> Callable[[str], Filter]:
    return lambda text: fields.comparison(name, operator, text)


def _expression(text: str) -> Filter:
    from imgsearch.filters.parser import parse  # the parser takes a moment to load

    return parse(text)


FILTERS = (
    FilterOption(
        "in", "PATH", "In this folder, however deep, or this very file.", "/home/me/Pictures",
        fields.below, any_of=True,
    ),
    FilterOption(
        "after", "DATE", "Taken in 2023, 2023-05 or 2023-05-17, or later.", "2023-05",
        _field("taken", ">="),
    ),
    FilterOption(
        "before", "DATE", "Taken before 2023, 2023-05 or 2023-05-17 began.", "2024",
        _field("taken", "<"),
    ),
    FilterOption(
        "camera", "TEXT", "Make and model contain this text; * and ? are wildcards.", "canon",
        _field("camera", "~"),
    ),
    FilterOption(
        "type", "FORMAT", "jpeg, png, heic, raw, ...; several: any of them.", "heic",
        _field("format", "="), any_of=True,
    ),
    FilterOption(
        "min_size", "WxH", "At least this wide and high, in pixels.", "1920x1080", fields.min_size
    ),
    FilterOption(
        "orientation", "SHAPE", "landscape, portrait or square.", "portrait",
        _field("orientation", "="), any_of=True,
    ),
    FilterOption(
        "near", "LAT,LON[,KM]", "Taken within KM kilometres of a place; default 10.",
        "48.86,2.35,5", lambda text: fields.near(text.split(",")),
    ),
    FilterOption(
        "box", "S,W,N,E", "Taken between these degrees: south, west, north, east.",
        "48.8,2.2,48.9,2.5", lambda text: fields.box(text.split(",")),
    ),
    FilterOption(
        "rating", "STARS", "Rated with at least this many stars, 1 to 5.", "4",
        _field("rating", ">="),
    ),
    FilterOption(
        "has", "WHAT",
        "Has a date, gps, camera, title, description, keywords, people, place, rating,"
        " cluster or measures.",
        "gps", fields.has,
    ),
    FilterOption(
        "name", "GLOB", "The file name contains this text, or matches it: 'IMG_*'.", "IMG_*",
        _field("name", "~"),
    ),
    FilterOption(
        "person", "TEXT", "The name of a person in it contains this text; * and ? are wildcards.",
        "rosalind", _field("people", "~"),
    ),
    FilterOption(
        "keyword", "TEXT", "One of its keywords contains this text; * and ? are wildcards.",
        "beach", _field("keywords", "~"),
    ),
    FilterOption(
        "place", "TEXT", "Its city, state or country contains this text.",
        "paris", fields.place,
    ),
    FilterOption(
        "cluster", "ID|NAME", "In this cluster; 'imgsearch clusters' lists them.", "12",
        _field("cluster", "="), any_of=True,
    ),
    FilterOption(
        "kind", "KIND", "photo, screenshot or document: a guess from its pixels.", "screenshot",
        _field("kind", "="), any_of=True,
    ),
    FilterOption(
        "where", "EXPR", "An expression, such as 'taken < 2020 and not has gps'; see above.",
        "width > 4000 and not has gps", _expression,
    ),
)  # fmt: skip


def filter_from(values: Mapping[str, Sequence[str]]) -> Filter | None:
    """The filter for the values of options; None if none is given.

    Parameters
    ----------
    values : mapping of the name of a `FilterOption` to its values

    Raises
    ------
    QueryError
        A value that makes no sense.
    """
    options = sorted(FILTERS, key=lambda option: not option.any_of)  # alternatives come first
    parts = [part for option in options for part in _parts(option, values.get(option.name, ()))]
    return all_of(parts)


def _parts(option: FilterOption, texts: Iterable[str]) -> list[Filter]:
    filters = [option.read(text) for text in texts]
    return [any_of(filters)] if filters and option.any_of else filters


def why_none(passing: Callable[[Filter], int], where: Filter) -> str:
    """A sentence that names the part of a filter that no picture passes.

    Parameters
    ----------
    passing : callable
        How many pictures pass a filter.
    """
    for part in where.parts if isinstance(where, And) else (where,):
        if not passing(part):
            return f"No picture passes the filter: {part}"
    return f"No picture passes all parts of the filter, though some pass each: {where}"
