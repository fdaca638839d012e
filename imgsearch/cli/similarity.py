"""imgsearch similarity"""

from __future__ import annotations

import json
from typing import Any

import click

from imgsearch.cli.completion import files
from imgsearch.cli.group import common, context, model_options
from imgsearch.errors import QueryError


@click.command("similarity", short_help="Print how alike two texts or pictures are.")
@click.argument("first", metavar="A", shell_complete=files)
@click.argument("second", metavar="B", shell_complete=files)
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
    from imgsearch.cli.query_terms import TermReader
    from imgsearch.searching.notes import script_note

    ctx = context(library, quiet, verbose)
    if not first.strip() or not second.strip():
        raise QueryError("one of the two texts is empty", "Give a text or a picture file.")
    reader = TermReader(allow_url)
    terms = [reader.picture_or_text(each) for each in (first, second)]
    with ctx.library(**flags) as lib:
        score, model = lib.similarity(*terms), lib.model
        note = script_note(lib.encoder().card, terms)
    if note:
        ctx.say(note)
    if as_json:
        click.echo(json.dumps({"a": first, "b": second, "score": round(score, 6), "model": model}))
    else:
        click.echo(f"{score:.4f}")
