"""imgsearch optimize"""

from __future__ import annotations

import time
from typing import Any

import click

from imgsearch.cli.completion import models
from imgsearch.cli.group import common, context, index_option
from imgsearch.cli.terminal import plain


@click.command("optimize", short_help="Rebuild the search index.")
@click.option(
    "--model",
    metavar="NAME",
    shell_complete=models,
    help="Model of the index. Default: the library's model.",
)
@index_option
@common
def command(library: str | None, quiet: bool, verbose: bool, **flags: Any) -> None:
    """Rebuild the search index, and train it for the current number of pictures.

    'imgsearch index' does this automatically: first at 100 000 pictures, then whenever their
    number has grown fourfold. Searches use the old index until the new one is ready. Pictures and
    vectors are not touched, and no model is loaded.

    \b
    imgsearch optimize
    imgsearch optimize --index flat
    """
    ctx = context(library, quiet, verbose)
    lib = ctx.library(**flags)
    start = time.perf_counter()
    try:
        result = lib.optimize()
    finally:
        lib.close()
    if not ctx.quiet:
        click.echo(plain(f"{result}, in {time.perf_counter() - start:.1f} s"))
