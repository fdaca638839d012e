"""The options that say how pictures are ranked, and which hits are too weak to be shown."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from imgsearch.searching.terms import MIN_STRENGTH, MIN_STRENGTH_OF_PICTURES, least_strength

if TYPE_CHECKING:
    from imgsearch.records import Term

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Cutoff:
    """How to rank, and what to leave out."""

    mode: str = "hybrid"
    min_strength: float | None = None
    min_score: float | None = None

    def least_strength(self, terms: Sequence[Term]) -> float:
        """What was asked for, or what suits the terms."""
        if self.min_strength is not None:
            return self.min_strength
        return least_strength(terms)

    @property
    def least_score(self) -> float:
        """A score that every hit reaches where none was asked for."""
        return -2.0 if self.min_score is None else self.min_score

    def why_none(self) -> str:
        """A sentence for a search that has found nothing."""
        if self.mode == "text":
            return "No name, caption or text has all these words."
        if self.min_score is not None:
            return f"No picture scores {self.min_score:g} or more."
        return "No picture matches well. To see the nearest ones all the same: --all"


def _number(ctx: click.Context, option: click.Parameter, value: float | None) -> float | None:
    """No hit would ever pass, or fail, a comparison with NaN."""
    if value is not None and math.isnan(value):
        raise click.BadParameter("it must be a number", ctx, option)
    return value


def cutoff_options(function: F) -> F:
    """Options of a command that finds pictures; it gets what they say as one `Cutoff`."""

    @functools.wraps(function)
    def command(
        mode: str,
        min_strength: float | None,
        everything: bool,
        min_score: float | None,
        **values: Any,
    ) -> Any:
        least = 0.0 if everything or min_score is not None else min_strength
        return function(cutoff=Cutoff(mode, least, min_score), **values)

    decorated: Any = command
    for option in (
        click.option(
            "--mode",
            type=click.Choice(["hybrid", "semantic", "text"]),
            default="hybrid",
            show_default=True,
            help="Look for words by meaning (semantic), in names, captions and texts (text), or"
            " both.",
        ),
        click.option(
            "--min-score",
            type=float,
            callback=_number,
            metavar="MIN",
            help="Cut by the raw score instead, a cosine from -1 to 1.",
        ),
        click.option(
            "--all", "everything", is_flag=True, help="Show weak hits, too; the same as -t 0."
        ),
        click.option(
            "-t",
            "--min-strength",
            type=click.FloatRange(0, 1),
            callback=_number,
            metavar="MIN",
            help=f"Leave out hits that are weaker. Strengths go from 0 to 1; the default is"
            f" {MIN_STRENGTH}, and {MIN_STRENGTH_OF_PICTURES} for pictures alone.",
        ),
    ):
        decorated = option(decorated)
    result: F = decorated
    return result
