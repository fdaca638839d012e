"""Builds filters from the options of the command line and the HTTP API."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from imgsearch.filters import fields
from imgsearch.filters.tree import And, Filter, all_of, any_of


def chosen(
    inside: Sequence[str] = (),
    after: Sequence[str] = (),
    before: Sequence[str] = (),
    camera: Sequence[str] = (),
    type: Sequence[str] = (),
    min_size: Sequence[str] = (),
    orientation: Sequence[str] = (),
    near: Sequence[str] = (),
    has: Sequence[str] = (),
    name: Sequence[str] = (),
    where: Sequence[str] = (),
) -> Filter | None:
    """The filter for the options; None if no option is set.

    All options must match. Several --in, --type or --orientation are alternatives, because a
    picture has only one folder, format and shape.

    Raises
    ------
    QueryError
        A value is not valid.
    """
    if not any(
        (inside, after, before, camera, type, min_size, orientation, near, has, name, where)
    ):
        return None
    alternatives = (
        [fields.below(text) for text in inside],
        [fields.comparison("format", "=", text) for text in type],
        [fields.comparison("orientation", "=", text) for text in orientation],
    )
    return all_of(
        [
            *(any_of(parts) for parts in alternatives if parts),
            *(fields.comparison("taken", ">=", text) for text in after),
            *(fields.comparison("taken", "<", text) for text in before),
            *(fields.comparison("camera", "~", text) for text in camera),
            *(fields.comparison("name", "~", text) for text in name),
            *(fields.near(text.split(",")) for text in near),
            *(fields.min_size(text) for text in min_size),
            *(fields.has(text) for text in has),
            *_parsed(where),
        ]
    )


def _parsed(expressions: Sequence[str]) -> list[Filter]:
    if not expressions:
        return []
    from imgsearch.filters.parser import parse  # the parser takes a moment to load

    return [parse(text) for text in expressions]


def why_none(passing: Callable[[Filter], int], where: Filter) -> str:
    """A message that names the part of a filter that no picture passes.

    Parameters
    ----------
    passing : callable
        Returns the number of pictures that pass a filter.
    """
    for part in where.parts if isinstance(where, And) else (where,):
        if not passing(part):
            return f"No picture passes the filter: {part}"
    return f"No picture passes all parts of the filter, though some pass each: {where}"
