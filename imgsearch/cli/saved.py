"""imgsearch saved"""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from imgsearch.cli import completion
from imgsearch.cli.group import common, context, model_option
from imgsearch.cli.help_sections import SectionedCommand
from imgsearch.cli.output import Output, query_options
from imgsearch.cli.search import answer, require_query, search_request, with_saved
from imgsearch.cli.search_options import (
    SearchOptions,
    gathered,
    request_options,
)
from imgsearch.cli.terminal import columns, plain
from imgsearch.searching.trace import Trace

if TYPE_CHECKING:
    from imgsearch.searching.saved_searches import SavedSearch

MAX_NAME_COLUMNS = 24

saved_name = click.argument("name", shell_complete=completion.saved)


@click.group("saved", short_help="Save searches, and search with them again.")
def command() -> None:
    """Save searches under a name, list them, and search with them again.

    The library keeps the query, not its results: it searches the pictures that are there now.

    \b
    imgsearch saved add beaches a beach --not people --after 2023
    imgsearch saved list
    imgsearch saved show beaches
    imgsearch search --saved beaches --camera canon
    """


@command.command("add", cls=SectionedCommand, short_help="Save a search.")
@click.argument("name")
@click.argument("words", nargs=-1, metavar="[WORD]...", shell_complete=completion.files)
@click.option("--replace", is_flag=True, help="Replace the saved search of that name.")
@click.option("--fused", is_flag=True, help="Read the words and the picture of --like as one.")
@request_options
@model_option
@common
@gathered
def add(
    options: SearchOptions,
    filters: dict[str, tuple[str, ...]],
    name: str,
    words: tuple[str, ...],
    replace: bool,
    fused: bool,
    unique: bool,
    library: str | None,
    quiet: bool,
    verbose: bool,
    **flags: Any,
) -> None:
    """Save a search as NAME, with the words, terms and filters that search takes.

    Case and accents of names do not matter. Example pictures are kept as pictures of the library,
    or by their path; one from stdin or a URL cannot be kept.

    \b
    imgsearch saved add beaches a beach --not people --after 2023
    imgsearch saved add 'Best of 2024' --after 2024 --before 2025 --rating 4 --sort date
    imgsearch saved add --replace beaches sand and sea --like '#1'
    """
    ctx = context(library, quiet, verbose)
    request = search_request(options, filters, unique, words, fused)
    require_query(request, words)
    with closing(ctx.library(**flags)) as lib:
        saved = lib.saved.add(name, request, replace)
    ctx.say(f"Saved {saved.name!r}: {saved.text}")


@command.command("list", short_help="List the saved searches.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@common
def list_saved(as_json: bool, library: str | None, quiet: bool, verbose: bool) -> None:
    """List the saved searches by name, and what they search for.

    \b
    imgsearch saved list
    imgsearch saved list --json
    """
    from imgsearch.searching.saved_searches import listed, saved_to_plain

    ctx = context(library, quiet, verbose)
    with closing(ctx.overview()) as overview:
        found, damaged = listed(overview)
    if as_json:
        click.echo(json.dumps([saved_to_plain(each) for each in found], indent=2))
    else:
        for each in found:
            click.echo(_line(each))
    for name in damaged:
        ctx.say(f"The saved search {name!r} cannot be read. To remove it: imgsearch saved remove")


def _line(saved: SavedSearch) -> str:
    name = plain(saved.name)
    name += " " * (MAX_NAME_COLUMNS - columns(name))
    gone = f"  (picture gone: {plain(saved.missing[0])})" if saved.missing else ""
    return f"{name}  {plain(saved.text)}{gone}"


@command.command("show", cls=SectionedCommand, short_help="Search with a saved search.")
@saved_name
@query_options
def show(
    options: SearchOptions,
    filters: dict[str, tuple[str, ...]],
    output: Output,
    name: str,
    library: str | None,
    quiet: bool,
    verbose: bool,
    **flags: Any,
) -> int:
    """Search with the saved search NAME; the same as 'imgsearch search --saved NAME'.

    \b
    imgsearch saved show beaches
    imgsearch saved show beaches --sort -date --format paths
    """
    ctx = context(library, quiet, verbose)
    trace = Trace()
    with trace.step("parse"):
        more = search_request(options, filters, output.unique, (), fused=False)
        request = with_saved(ctx, name, more)
    return answer(ctx, request, trace, options, output, flags)


@command.command("rename", short_help="Give a saved search another name.")
@saved_name
@click.argument("new_name")
@common
def rename(name: str, new_name: str, library: str | None, quiet: bool, verbose: bool) -> None:
    """Give the saved search NAME the name NEW_NAME.

    \b
    imgsearch saved rename beaches 'Beaches and sea'
    imgsearch saved rename beaches Beaches
    """
    ctx = context(library, quiet, verbose)
    with closing(ctx.library()) as lib:
        lib.saved.rename(name, new_name)


@command.command("remove", short_help="Delete a saved search.")
@saved_name
@common
def remove(name: str, library: str | None, quiet: bool, verbose: bool) -> None:
    """Delete the saved search NAME; no picture is touched.

    \b
    imgsearch saved remove beaches
    imgsearch saved remove 'Best of 2024'
    """
    ctx = context(library, quiet, verbose)
    with closing(ctx.library()) as lib:
        lib.saved.remove(name)
