"""imgsearch search"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeVar

import click

from imgsearch.cli.cutoff import Cutoff, cutoff_options
from imgsearch.cli.feedback import Feedback, feedback_options
from imgsearch.cli.filters import OutputFormat, Picked, explained, filter_options, why_none
from imgsearch.cli.group import Context, common, context, index_option, model_options
from imgsearch.cli.output import Output, output_options

if TYPE_CHECKING:
    from imgsearch.finding import Finder
    from imgsearch.records import Term

F = TypeVar("F", bound=Callable[..., Any])


def result_options(function: F) -> F:
    """Options of every command that prints hits."""
    for option in (
        click.option(
            "--format",
            "form",
            type=OutputFormat(["table", "json", "jsonl", "csv", "tsv", "paths", "paths0"]),
            default="table",
            show_default=True,
            help="paths0 ends each path with NUL, for xargs -0.",
        ),
        click.option(
            "--instruction",
            metavar="TEXT",
            help="What the model is told about the words, if it takes instructions.",
        ),
        click.option(
            "--no-daemon", is_flag=True, help="Do not ask a running daemon; see 'imgsearch daemon'."
        ),
        click.option(
            "--exact",
            "index",
            flag_value="flat",
            help="Compare with every picture; the same as --index flat.",
        ),
        click.option("--allow-url", is_flag=True, help="Fetch a picture that is an http(s) URL."),
        click.option("--like", multiple=True, metavar="IMAGE", help="And like this picture."),
        click.option("--not", "minus", multiple=True, metavar="TERM", help="But not this."),
        click.option("--and", "plus", multiple=True, metavar="TERM", help="And this."),
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
@click.option(
    "--fused",
    is_flag=True,
    help="Have the model read the words and the picture of --like as one, if it can.",
)
@result_options
@feedback_options
@output_options
@cutoff_options
@filter_options
@model_options
@index_option
@common
def command(
    picked: Picked,
    cutoff: Cutoff,
    feedback: Feedback,
    words: tuple[str, ...],
    plus: tuple[str, ...],
    minus: tuple[str, ...],
    like: tuple[str, ...],
    fused: bool,
    allow_url: bool,
    no_daemon: bool,
    limit: int,
    instruction: str | None,
    form: str,
    output: Output,
    library: str | None,
    quiet: bool,
    verbose: bool,
    **flags: Any,
) -> int:
    """Find pictures by words, by an example, or by both.

    The words make one text. A single argument that names a picture is an example. A TERM is a
    text or a picture; it may have a weight: 'red car^0.5'. A picture is a file, - for stdin,
    '#3' for the third result of the last search, or with --allow-url a URL.

    Filters say which pictures may be found, and all of them must hold; of several --in, --type or
    --orientation any may. With filters and nothing to search for, pictures are listed by date,
    newest first. In an EXPR, comparisons are joined by and, or, not and parentheses;
    docs/SEARCH.md tells all. A comparison with something that a picture lacks is false: 'not
    taken < 2020' finds pictures without a date, too.

    \b
    EXPR: taken = < > 2023-05-17     camera name ~ text, *wildcards*     format in (png, heic)
          width height size > 5MB    orientation = portrait              has gps (date, camera)
          in "~/Pictures/2023"       near(48.86, 2.35, 5)                latitude longitude > 60

    \b
    imgsearch search a dog on the beach
    imgsearch search a dog --not people --like beach.jpg -n 30
    imgsearch search the same car in red --like car.jpg --fused
    imgsearch search sunset --after 2023-06 --before 2023-09 --camera canon
    imgsearch search --in ~/Pictures/2023 --where 'width > 4000 and not has gps'
    imgsearch search sunset --unique --html sunsets.html --copy-to ~/Sunsets
    imgsearch search --more 1,4 --less 2
    """
    from imgsearch.cli.pictures import Pictures
    from imgsearch.cli.terms import fused_term, query_terms
    from imgsearch.errors import QueryError

    ctx = context(library, quiet, verbose)
    here = no_daemon or fused  # what is fused are pixels, which do not travel
    with closing(ctx.finder(here, instruction=instruction, **flags)) as finder:
        pictures = Pictures(finder, allow_url)
        if fused:
            whole = fused_term(Pictures(finder, allow_url, pixels=True), words, like)
            terms = [whole, *query_terms(pictures, (), plus, minus, ())]
        else:
            only_words = cutoff.mode == "text"
            terms = query_terms(pictures, words, plus, minus, like, only_words)
        if words and not terms:
            raise QueryError("the query is empty", "Say what to look for: imgsearch search a dog")
        terms = feedback.refine(pictures, terms, ctx.say)
        if cutoff.min_score is not None and not terms:
            raise QueryError(
                "a list by date has no scores", "Say what to look for, or leave out --min-score."
            )
        return answer(ctx, finder, terms, limit, form, picked, cutoff, output)


def answer(
    ctx: Context,
    finder: Finder,
    terms: Sequence[Term],
    limit: int,
    form: str,
    picked: Picked,
    cutoff: Cutoff,
    output: Output,
) -> int:
    """Search, print the hits, and do with them what was asked for; the exit status."""
    from imgsearch.records import Query

    query = Query(
        terms,
        limit,
        min_score=cutoff.least_score,
        min_strength=cutoff.least_strength(terms),
        instruction=finder.instruction or None,
        where=picked.where,
        mode=cutoff.mode,
    )
    hits, lost = finder.find(query, output.unique, picked.explanation)
    if lost:
        ctx.say(lost)
    if picked.explanation.passed != 0 and cutoff.mode != "text":
        warn_of_script(ctx, finder, terms)
        warn_of_instruction(ctx, finder, terms)
    status = output.deliver(ctx, finder, hits, form, " ".join(t.text for t in terms if t.text))
    if picked.where is not None and picked.explanation.passed == 0:
        ctx.say(why_none(finder, picked.where))
    elif not hits:
        ctx.say(cutoff.why_none())
    if picked.explain:
        click.echo(explained(picked), err=True)
    return status


def warn_of_script(ctx: Context, finder: Finder, terms: Sequence[Term]) -> None:
    """Tell a user whose query is in a script that the model cannot read."""
    from imgsearch.searching.terms import foreign_script

    text = " ".join(term.text for term in terms if term.text)
    if not text:
        return
    card = finder.card()
    script = foreign_script(text, card.scripts)
    if script:
        ctx.say(
            f"imgsearch: the model {card.name} reads only {card.languages}; the query has "
            f"{script} letters: it can only guess. Index with a multilingual "
            f"model, such as {card.alternative}; see 'imgsearch models'."
        )


def warn_of_instruction(ctx: Context, finder: Finder, terms: Sequence[Term]) -> None:
    """Tell a user who gave an instruction where it cannot do what it is meant for."""
    if not finder.instruction:
        return
    if not any(term.text for term in terms):
        ctx.say("imgsearch: the instruction is about the words of a query, and this one has none.")
        return
    card = finder.card()
    if not card.instructions:
        ctx.say(
            f"imgsearch: the model {card.name} was not trained with instructions: do not expect"
            " one to help. See 'imgsearch models'."
        )
