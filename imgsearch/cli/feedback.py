"""--more and --less: results of the last search that were right or wrong."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from imgsearch.cli.pictures import Pictures
    from imgsearch.finding import Finder
    from imgsearch.records import Term
    from imgsearch.vectors import Embeddings

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Feedback:
    """Ranks of good and of bad results of the last search."""

    good: tuple[int, ...] = ()
    bad: tuple[int, ...] = ()

    def refine(
        self, pictures: Pictures, terms: Sequence[Term], say: Callable[[str], None]
    ) -> list[Term]:
        """The terms with the pictures that were judged; without terms, those of the last search.

        Raises
        ------
        QueryError
            There was no last search, or a picture of it cannot be used.
        SpaceMismatch
            The last search was made with another model.
        """
        if not (self.good or self.bad):
            return list(terms)
        from imgsearch.searching.feedback import refined

        finder = pictures.finder
        good, bad = ([_vector(finder, rank) for rank in ranks] for ranks in (self.good, self.bad))
        if not terms:
            terms = finder.last_terms()
            words = ", ".join(term.text for term in terms if term.text and term.weight > 0)
            say(f"Refining the last search{': ' + words if words else ''}.")
        return refined(terms, good, bad)


def feedback_options(function: F) -> F:
    """Options of a command that finds pictures; it gets what they say as one `Feedback`."""

    @functools.wraps(function)
    def command(more: tuple[str, ...], less: tuple[str, ...], **values: Any) -> Any:
        good, bad = _ranks("--more", more), _ranks("--less", less)
        both = sorted(set(good) & set(bad))
        if both:
            raise click.UsageError(f"Result {both[0]} cannot be in both --more and --less.")
        return function(feedback=Feedback(good, bad), **values)

    decorated: Any = command
    for option in (
        click.option(
            "--less",
            multiple=True,
            metavar="N,...",
            help="Less like these results of the last search.",
        ),
        click.option(
            "--more",
            multiple=True,
            metavar="N,...",
            help="More like these results of the last search; without terms, refines that search.",
        ),
    ):
        decorated = option(decorated)
    result: F = decorated
    return result


def _ranks(option: str, texts: Sequence[str]) -> tuple[int, ...]:
    """Numbers of results, as in "1,4" or "#1 #4", each once."""
    found: dict[int, None] = {}
    for text in texts:
        words = text.replace(",", " ").split()
        if not words or not all(re.fullmatch("#?[0-9]{1,9}", word) for word in words):
            raise click.BadParameter(
                f"{text!r} is no list of results, such as 1,4.", param_hint=f"'{option}'"
            )
        found |= dict.fromkeys(int(word.removeprefix("#")) for word in words)
    return tuple(found)


def _vector(finder: Finder, rank: int) -> Embeddings:
    """The vector of a result of the last search."""
    vector = finder.result(rank).vector
    assert vector is not None
    return vector
