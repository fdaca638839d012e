"""imgsearch similar"""

from __future__ import annotations

from contextlib import closing
from typing import Any

import click

from imgsearch.cli.cutoff import Cutoff, cutoff_options
from imgsearch.cli.feedback import Feedback, feedback_options
from imgsearch.cli.filters import Picked, filter_options
from imgsearch.cli.group import common, context, index_option, model_options
from imgsearch.cli.output import Output, output_options
from imgsearch.cli.search import answer, result_options


@click.command("similar", short_help="Find pictures that look like a given one.")
@click.argument("image", metavar="IMAGE")
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
    image: str,
    plus: tuple[str, ...],
    minus: tuple[str, ...],
    like: tuple[str, ...],
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
    """Find pictures that look like IMAGE, which need not be in the library.

    IMAGE is a file, - for stdin, '#3' for the third result of the last search, or with
    --allow-url a URL. A picture of the library finds itself first, with score 1. The filters are
    those of search, and 'imgsearch search --help' explains them.

    \b
    imgsearch similar holiday/beach.jpg
    imgsearch similar holiday/beach.jpg --in ~/Pictures/2023 --type heic
    imgsearch similar beach.jpg --and sunset --not people --format paths
    imgsearch similar '#3'
    """
    from imgsearch.cli.pictures import Pictures
    from imgsearch.cli.terms import query_terms

    ctx = context(library, quiet, verbose)
    with closing(ctx.finder(no_daemon, instruction=instruction, **flags)) as finder:
        pictures = Pictures(finder, allow_url)
        terms = [pictures.term(image), *query_terms(pictures, (), plus, minus, like)]
        terms = feedback.refine(pictures, terms, ctx.say)
        return answer(ctx, finder, terms, limit, form, picked, cutoff, output)
