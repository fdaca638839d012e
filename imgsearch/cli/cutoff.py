"""The options that say how pictures are ranked, and which hits are too weak to be shown."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_MIN_STRENGTH = 0.15
"""Keeps nearly all true hits and drops many false ones; docs/STRENGTH.md has the curve."""


@dataclass(frozen=True, slots=True)
class Cutoff:
    """How to rank, and what to leave out."""

    mode: str = "hybrid"
    min_strength: float = 0.0
    min_score: float | None = None

    @property
    def least_score(self) -> float:
        """A score that every hit reaches where none was asked for."""
        return -2.0 if self.min_score is None else self.min_score

    def why_none(self) -> str:
        """A sentence for a search that has found nothing."""
        if self.mode == "text":
            return "No name or caption has all these words."
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
        min_strength: float,
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
            help="Look for words by meaning (semantic), in names and captions (text), or in both.",
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
            default=DEFAULT_MIN_STRENGTH,
            show_default=True,
            metavar="MIN",
            help="Leave out hits that are weaker; strengths go from 0 to 1.",
        ),
    ):
        decorated = option(decorated)
    result: F = decorated
    return result
