"""The options that say which pictures may be found, and --explain."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import click

from imgsearch.cli.terminal import plain
from imgsearch.searching.trace import Explanation

if TYPE_CHECKING:
    from imgsearch.filters.tree import Filter
    from imgsearch.finding import Finder

    Choice = click.Choice[str]
else:
    Choice = click.Choice  # takes no parameter before click 8.2

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Picked:
    """What the filter options of a call say."""

    where: Filter | None
    explain: bool = False
    explanation: Explanation = field(default_factory=Explanation)


class OutputFormat(Choice):
    """Formats of the output; tells a user who means a format of pictures."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            from imgsearch.filters.fields import FORMATS, OTHER_NAMES

            if str(value).upper() in (*FORMATS, *OTHER_NAMES):
                self.fail(f"this is the format of the output; use --type {value}", param, ctx)
            raise


# Every text goes through `fields` or `where`, where a value that makes no sense is a QueryError.
_OPTIONS = (
    ("--in", "inside", "PATH", "In this folder, however deep, or this very file."),
    ("--after", "after", "DATE", "Taken in 2023, 2023-05 or 2023-05-17, or later."),
    ("--before", "before", "DATE", "Taken before 2023, 2023-05 or 2023-05-17 began."),
    ("--camera", "camera", "TEXT", "Make and model have this text in them; * and ? are wildcards."),
    ("--type", "type", "FORMAT", "jpeg, png, heic, raw, ...; several: any of them."),
    ("--min-size", "min_size", "WxH", "At least so many pixels wide and high."),
    ("--orientation", "orientation", "SHAPE", "landscape, portrait or square."),
    ("--near", "near", "LAT,LON[,KM]", "Taken within so many km of a place; 10 if not said."),
    ("--has", "has", "WHAT", "Tells its date, its gps position or its camera."),
    ("--name", "name", "GLOB", "The file name has this text in it, or matches it: 'IMG_*'."),
    (
        "--where",
        "where",
        "EXPR",
        "An expression, such as 'taken < 2020 and not has gps'; see above.",
    ),
)


def filter_options(function: F) -> F:
    """Options of a command that finds pictures; it gets what they say as one `Picked`."""

    @functools.wraps(function)
    def command(explain: bool, **values: Any) -> Any:
        texts = {name: values.pop(name) for _, name, _, _ in _OPTIONS}
        explanation = Explanation()
        with explanation.step("parse"):
            where = _chosen(texts)
        return function(picked=Picked(where, explain, explanation), **values)

    decorated: Any = command
    explain = click.option(
        "--explain", is_flag=True, help="Tell on stderr what was done, and how long it took."
    )
    decorated = explain(decorated)
    for flag, name, metavar, told in reversed(_OPTIONS):
        decorated = click.option(flag, name, multiple=True, metavar=metavar, help=told)(decorated)
    result: F = decorated
    return result


def _chosen(texts: dict[str, tuple[str, ...]]) -> Filter | None:
    if not any(texts.values()):
        return None
    from imgsearch.filters.options import chosen  # which loads all that knows fields

    return chosen(**texts)


def why_none(finder: Finder, where: Filter) -> str:
    """A sentence that says which part of a filter no picture passes."""
    from imgsearch.filters import options

    return plain(options.why_none(finder.passing, where))


def explained(picked: Picked) -> str:
    """What a search did, a line for each thing."""
    told = picked.explanation
    of = f"{told.passed} of {told.total}" if told.passed is not None else f"all {told.total}"
    lines = [
        f"filter  {picked.where or 'none'}",
        f"passed  {of} pictures",
        f"method  {told.method or 'nothing to search'}",
        "time    " + ", ".join(f"{name} {s * 1000:.1f} ms" for name, s in told.seconds.items()),
    ]
    return "\n".join(map(plain, lines))
