"""imgsearch similarity"""

from __future__ import annotations

import json
from typing import Any

import click

from imgsearch.cli.group import common, context, model_options
from imgsearch.cli.search import warn_of_script


@click.command("similarity", short_help="Print how alike two texts or pictures are.")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@click.option("--allow-url", is_flag=True, help="Fetch a picture that is an http(s) URL.")
@model_options
@common
def command(
    first: str,
    second: str,
    as_json: bool,
    allow_url: bool,
    library: str | None,
    quiet: bool,
    verbose: bool,
    **flags: Any,
) -> None:
    """Print how alike A and B are: the cosine of their vectors, from -1 to 1.

    Each is a picture, or else a text. A picture is a file, - for stdin, '#3' for the third result
    of the last search, or with --allow-url a URL. Only '#3' needs a library.

    \b
    imgsearch similarity dog.jpg "a dog"
    imgsearch similarity one.jpg two.jpg
    imgsearch similarity '#1' '#2'
    """
    from imgsearch.cli.pictures import Pictures
    from imgsearch.cli.terms import picture_or_text
    from imgsearch.finding import LocalFinder

    ctx = context(library, quiet, verbose)
    lib = ctx.library(**flags)
    try:
        finder = LocalFinder(lib)
        pictures = Pictures(finder, allow_url, pixels=True)
        terms = [picture_or_text(pictures, each) for each in (first, second)]
        score = lib.similarity(*terms)
        warn_of_script(ctx, finder, terms)
        if as_json:
            click.echo(
                json.dumps({"a": first, "b": second, "score": round(score, 6), "model": lib.model})
            )
        else:
            click.echo(f"{score:.4f}")
    finally:
        lib.close()
