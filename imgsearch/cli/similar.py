"""imgsearch similar"""

from __future__ import annotations

from typing import Any

import click

from imgsearch.cli.cutoff import Cutoff, cutoff_options
from imgsearch.cli.filters import Picked, filter_options
from imgsearch.cli.group import common, context, model_options
from imgsearch.cli.output import Output, output_options
from imgsearch.cli.search import answer, result_options


@click.command("similar", short_help="Find pictures that look like a given one.")
@click.argument("image", metavar="IMAGE")
@result_options
@output_options
@cutoff_options
@filter_options
@model_options
@common
def command(
    picked: Picked,
    cutoff: Cutoff,
    image: str,
    plus: tuple[str, ...],
    minus: tuple[str, ...],
    like: tuple[str, ...],
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

    A picture of the library finds itself first, with score 1. The filters are those of search, and
    'imgsearch search --help' explains them.

    \b
    imgsearch similar holiday/beach.jpg
    imgsearch similar holiday/beach.jpg --in ~/Pictures/2023 --type heic
    imgsearch similar beach.jpg --and sunset --not people --format paths
    """
    from imgsearch.cli.terms import query_terms

    ctx = context(library, quiet, verbose)
    lib = ctx.library(instruction=instruction, **flags)
    try:
        terms = [lib.image_term(image), *query_terms(lib, (), plus, minus, like)]
        return answer(ctx, lib, terms, limit, form, picked, cutoff, output)
    finally:
        lib.close()
