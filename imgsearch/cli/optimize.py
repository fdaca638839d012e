"""imgsearch optimize"""

from __future__ import annotations

import time
from typing import Any

import click

from imgsearch.cli.group import common, context, index_option
from imgsearch.cli.terminal import plain


@click.command("optimize", short_help="Make the index of the library anew.")
@click.option("--model", metavar="NAME", help="Of this model. Default: the one of the library.")
@index_option
@common
def command(library: str | None, quiet: bool, verbose: bool, **flags: Any) -> None:
    """Write the search index anew, and train it for the present number of pictures.

    'imgsearch index' does this by itself when it is due: the first time at 300 000 pictures, then
    whenever there are four times as many. Searches go on with the old index until the new one is
    there. Pictures and vectors are not touched, and no model is loaded.

    \b
    imgsearch optimize
    imgsearch optimize --index flat
    """
    ctx = context(library, quiet, verbose)
    lib = ctx.library(**flags)
    started = time.perf_counter()
    try:
        told = lib.optimize()
    finally:
        lib.close()
    if not ctx.quiet:
        click.echo(plain(f"{told}, in {time.perf_counter() - started:.1f} s"))
