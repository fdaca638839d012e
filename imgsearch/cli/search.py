"""imgsearch search"""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import Any

import click
from click.core import ParameterSource

from imgsearch.cli import freshness
from imgsearch.cli.completion import files
from imgsearch.cli.group import Context, context
from imgsearch.cli.help_sections import SectionedCommand
from imgsearch.cli.output import Output, query_options
from imgsearch.cli.search_options import (
    SearchOptions,
    explained,
    saved_option,
    why_no_hits,
)
from imgsearch.cli.terminal import plain
from imgsearch.errors import QueryError
from imgsearch.searching.request import SearchRequest
from imgsearch.searching.terms import EMPTY_QUERY
from imgsearch.searching.trace import Trace

NOTHING_FOUND = 3
"""Exit status of a search with --exit-code that found nothing."""


@click.command(
    "search", cls=SectionedCommand, short_help="Find pictures by words, by an example, or by both."
)
@click.argument("words", nargs=-1, metavar="[WORD]...", shell_complete=files)
@click.option(
    "--fused",
    is_flag=True,
    help="Have the model read the words and the picture of --like as one, if it can.",
)
@saved_option
@query_options
def command(
    options: SearchOptions,
    filters: dict[str, tuple[str, ...]],
    output: Output,
    words: tuple[str, ...],
    fused: bool,
    saved: str | None,
    library: str | None,
    quiet: bool,
    verbose: bool,
    **flags: Any,
) -> int:
    """Find pictures by words, by an example, or by both.

    The words make one text. A single argument that names a picture is an example. A TERM is a
    text or a picture; it may have a weight: 'red car^0.5'. A picture is a file, - for stdin,
    '#3' for the third result of the last search, or with --allow-url a URL.

    Filters restrict the pictures that may be found, and all of them must match; of several --in,
    --type or --orientation, any one. With filters alone, pictures are listed by date, newest
    first. In an EXPR, comparisons are joined by and, or, not and parentheses; docs/SEARCH.md has
    the whole language. A comparison with a value that a picture lacks is false: 'not
    taken < 2020' also finds pictures without a date.

    \b
    EXPR: taken = < > 2023-05-17     camera name ~ text, *wildcards*     format in (png, heic)
          width height size > 5MB    orientation = portrait              has gps (date, camera)
          in "~/Pictures/2023"       near(48.86, 2.35, 5)                latitude longitude > 60
          rating >= 4                box(48.8, 2.2, 48.9, 2.5)

    \b
    imgsearch search a dog on the beach
    imgsearch search a dog --not people --like beach.jpg -n 30
    imgsearch search the same car in red --like car.jpg --fused
    imgsearch search sunset --after 2023-06 --before 2023-09 --camera canon
    imgsearch search --in ~/Pictures/2023 --where 'width > 4000 and not has gps'
    imgsearch search sunset --unique --html sunsets.html --copy-to ~/Sunsets
    imgsearch search --more 1,4 --less 2
    imgsearch search --saved beaches --after 2023
    """
    ctx = context(library, quiet, verbose)
    trace = Trace()
    with trace.step("parse"):
        request = search_request(options, filters, output.unique, words, fused)
        if saved is not None:
            request = with_saved(ctx, saved, request)
    require_query(request, words)
    return answer(ctx, request, trace, options, output, flags)


def search_request(
    options: SearchOptions,
    filters: dict[str, tuple[str, ...]],
    unique: bool,
    words: tuple[str, ...],
    fused: bool,
) -> SearchRequest:
    """The request that words and options make, which may search for nothing."""
    from imgsearch.cli.query_terms import TermReader, fused_term, query_terms

    reader = TermReader(options.allow_url)
    if fused:
        terms = [fused_term(reader, words, options.like)]
        terms += query_terms(reader, (), options.plus, options.minus, ())
    else:
        only_words = options.mode == "text"
        terms = query_terms(reader, words, options.plus, options.minus, options.like, only_words)
    return options.request(terms, filters, unique)


def with_saved(ctx: Context, name: str, request: SearchRequest) -> SearchRequest:
    """A saved search with the terms and filters of a request; the saved limit unless -n is given.

    Raises
    ------
    QueryError
        There is no such saved search, or an example picture of it is gone.
    """
    from imgsearch.searching.saved_searches import combined, saved_search

    with closing(ctx.overview()) as overview:
        saved = saved_search(overview, name).required()
    whole = combined(saved, request)
    source = click.get_current_context().get_parameter_source("limit")
    return replace(whole, limit=saved.limit) if source == ParameterSource.DEFAULT else whole


def require_query(request: SearchRequest, words: tuple[str, ...]) -> None:
    """Raise `QueryError` for a request that searches for nothing."""
    if not request.terms and not request.good and not request.bad:
        if words or (request.where is None and not request.sort):
            raise QueryError(*EMPTY_QUERY)
        if request.min_score is not None:
            raise QueryError(
                "a list by date has no scores", "Say what to look for, or leave out --min-score."
            )


def answer(
    ctx: Context,
    request: SearchRequest,
    trace: Trace,
    options: SearchOptions,
    output: Output,
    flags: dict[str, Any],
) -> int:
    """Search, show the hits, and do with them what the options say; the exit status."""
    estimate = freshness.begin(ctx, ctx.settings(**flags), options.refresh)
    with closing(ctx.session(options.no_daemon, **flags)) as session:
        result = session.search(request)
        for note in result.notes:
            ctx.say(plain(note))  # it may quote the query
        status = output.deliver(ctx, session, result, options.form)
    if result.why_empty:
        ctx.say(plain(result.why_empty))  # a filter must not forge lines
    elif not result.hits:
        ctx.say(why_no_hits(request))
    freshness.end(ctx, estimate)
    if options.exit_code and not result.hits:
        status = status or NOTHING_FOUND
    if options.explain:
        result.trace.seconds = trace.seconds | result.trace.seconds
        click.echo(explained(request, result.trace), err=True)
    return status
