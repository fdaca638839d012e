"""imgsearch search"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from imgsearch.cli.group import Context, common, context, model_options

if TYPE_CHECKING:
    from imgsearch.app import Library
    from imgsearch.records import Term

F = TypeVar("F", bound=Callable[..., Any])


def _number(ctx: click.Context, option: click.Parameter, value: float | None) -> float | None:
    """No hit would ever pass, or fail, a comparison with NaN."""
    if value is not None and math.isnan(value):
        raise click.BadParameter("it must be a number", ctx, option)
    return value


def result_options(function: F) -> F:
    """Options of every command that prints hits."""
    for option in (
        click.option(
            "--format",
            "form",
            type=click.Choice(["table", "json", "jsonl", "csv", "tsv", "paths", "paths0"]),
            default="table",
            show_default=True,
            help="paths0 ends each path with NUL, for xargs -0.",
        ),
        click.option(
            "--instruction",
            metavar="TEXT",
            help="What the model is told about the words, if it takes instructions.",
        ),
        click.option("--like", multiple=True, metavar="IMAGE", help="And like this picture."),
        click.option("--not", "minus", multiple=True, metavar="TERM", help="But not this."),
        click.option("--and", "plus", multiple=True, metavar="TERM", help="And this."),
        click.option(
            "-t",
            "--min-score",
            type=float,
            callback=_number,
            metavar="MIN",
            help="Leave out hits whose score, a cosine from -1 to 1, is lower.",
        ),
        click.option(
            "-n",
            "--limit",
            type=click.IntRange(min=1),
            default=20,
            show_default=True,
            help="At most so many hits.",
        ),
    ):
        function = option(function)
    return function


@click.command("search", short_help="Find pictures by words, by an example, or by both.")
@click.argument("words", nargs=-1, metavar="[WORD]...")
@result_options
@model_options
@common
def command(
    words: tuple[str, ...],
    plus: tuple[str, ...],
    minus: tuple[str, ...],
    like: tuple[str, ...],
    limit: int,
    min_score: float | None,
    instruction: str | None,
    form: str,
    library: str | None,
    quiet: bool,
    verbose: bool,
    **flags: Any,
) -> None:
    """Find pictures by words, by an example, or by both.

    The words make one text. A single argument that names a picture file is an example. A TERM
    is a text or a picture file; it may have a weight: 'red car^0.5'.

    \b
    imgsearch search a dog on the beach
    imgsearch search a dog --not people --like beach.jpg -n 30
    """
    from imgsearch.cli.terms import query_terms

    ctx = context(library, quiet, verbose)
    lib = ctx.library(instruction=instruction, **flags)
    try:
        terms = query_terms(lib, words, plus, minus, like)
        answer(ctx, lib, terms, limit, min_score, form)
    finally:
        lib.close()


def answer(
    ctx: Context,
    lib: Library,
    terms: Sequence[Term],
    limit: int,
    min_score: float | None,
    form: str,
) -> None:
    """Search and print the hits."""
    from imgsearch.cli.render import render
    from imgsearch.records import Query

    least = -2.0 if min_score is None else min_score
    hits = lib.search(Query(terms, limit, least, lib.settings.instruction or None))
    warn_of_script(ctx, lib, terms)
    warn_of_instruction(ctx, lib, terms)
    render(hits, form)
    if not hits:
        ctx.say(f"No picture scores {least:g} or more.")


def warn_of_script(ctx: Context, lib: Library, terms: Sequence[Term]) -> None:
    """Tell a user whose query is in a script that the model cannot read."""
    from imgsearch.search import foreign_script

    text = " ".join(term.text for term in terms if term.text)
    if not text:
        return
    card = lib.encoder().card
    script = foreign_script(text, card.scripts)
    if script:
        ctx.say(
            f"imgsearch: the model {card.name} reads only {card.languages}; the query has "
            f"{script} letters: it can only guess. Index with a multilingual "
            f"model, such as {card.alternative}; see 'imgsearch models'."
        )


def warn_of_instruction(ctx: Context, lib: Library, terms: Sequence[Term]) -> None:
    """Tell a user who gave an instruction where it cannot do what it is meant for."""
    if not lib.settings.instruction:
        return
    if not any(term.text for term in terms):
        ctx.say("imgsearch: the instruction is about the words of a query, and this one has none.")
        return
    card = lib.encoder().card
    if not card.instructions:
        ctx.say(
            f"imgsearch: the model {card.name} was not trained with instructions: do not expect"
            " one to help. See 'imgsearch models'."
        )
