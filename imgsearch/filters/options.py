"""The filters that options stand for: those of the command line and of the HTTP API alike."""

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
    """The filter that the options stand for; None where none was given.

    All of them must hold. But of several --in, of several --type and of several --orientation any
    may, because a picture has only one folder, one format and one shape.

    Raises
    ------
    QueryError
        A value that makes no sense.
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
    """A sentence that says which part of a filter no picture passes.

    Parameters
    ----------
    passing : callable
        How many pictures pass a filter.
    """
    for part in where.parts if isinstance(where, And) else (where,):
        if not passing(part):
            return f"No picture passes the filter: {part}"
    return f"No picture passes all parts of the filter, though some pass each: {where}"
