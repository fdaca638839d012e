"""imgsearch similar"""

from __future__ import annotations

from typing import Any

import click

from imgsearch.cli.completion import files
from imgsearch.cli.group import context
from imgsearch.cli.help_sections import SectionedCommand
from imgsearch.cli.output import Output, query_options
from imgsearch.cli.search import answer
from imgsearch.cli.search_options import (
    SearchOptions,
)
from imgsearch.searching.trace import Trace


@click.command(
    "similar", cls=SectionedCommand, short_help="Find pictures that look like a given one."
)
@click.argument("image", metavar="IMAGE", shell_complete=files)
@query_options
def command(
    options: SearchOptions,
    filters: dict[str, tuple[str, ...]],
    output: Output,
    image: str,
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
    from imgsearch.cli.query_terms import TermReader, query_terms

    ctx = context(library, quiet, verbose)
    reader = TermReader(options.allow_url)
    terms = [reader.picture(image)]
    terms += query_terms(reader, (), options.plus, options.minus, options.like)
    trace = Trace()
    with trace.step("parse"):
        request = options.request(terms, filters, output.unique)
    return answer(ctx, request, trace, options, output, flags)
