"""imgsearch skipped"""

from __future__ import annotations

import json
from contextlib import closing

import click

from imgsearch.cli.group import common, context
from imgsearch.cli.terminal import count_of, plain


@click.command("skipped", short_help="List the files that could not be indexed, with reasons.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@click.option("--texts", is_flag=True, help="Instead, list pictures whose text could not be read.")
@click.option("--partial", is_flag=True, help="Instead, list pictures that were indexed in part.")
@common
def command(
    as_json: bool, texts: bool, partial: bool, library: str | None, quiet: bool, verbose: bool
) -> None:
    """List the files that could not be indexed, with reasons.

    A file is retried when it changes, or when a decoder is added or updated. A file that is cut
    off is indexed in part if at least a quarter of the picture is there.

    \b
    imgsearch skipped
    imgsearch skipped --partial
    imgsearch skipped --texts
    imgsearch skipped --json | jq -r '.[].path'
    """
    if texts and partial:
        raise click.UsageError("--texts and --partial cannot be combined.")
    ctx = context(library, quiet, verbose)
    with closing(ctx.overview()) as overview:
        in_part = overview.partial()
        files = overview.unreadable_texts() if texts else overview.skipped()
    files = in_part if partial else files
    if in_part and not (texts or partial):
        ctx.say(f"Indexed in part: {count_of(len(in_part), 'picture')}, see --partial.")
    if as_json:
        entries = [
            {"path": each.file.absolute, "reason": each.reason, "transient": each.transient}
            for each in files
        ]
        click.echo(json.dumps(entries, indent=2))
        return
    for each in files:
        click.echo(f"{plain(each.file.absolute)}: {plain(each.reason)}")
