"""imgsearch skipped"""

from __future__ import annotations

import json
from contextlib import closing

import click

from imgsearch.cli.group import common, context
from imgsearch.cli.terminal import plain


@click.command("skipped", short_help="List the files that could not be indexed, with reasons.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@click.option("--texts", is_flag=True, help="Instead, list pictures whose text could not be read.")
@common
def command(as_json: bool, texts: bool, library: str | None, quiet: bool, verbose: bool) -> None:
    """List the files that could not be indexed, with reasons.

    A file is retried when it changes, or when a decoder is added or updated.

    \b
    imgsearch skipped
    imgsearch skipped --texts
    imgsearch skipped --json | jq -r '.[].path'
    """
    with closing(context(library, quiet, verbose).overview()) as overview:
        files = overview.unreadable_texts() if texts else overview.skipped()
    if as_json:
        entries = [
            {"path": each.file.absolute, "reason": each.reason, "transient": each.transient}
            for each in files
        ]
        click.echo(json.dumps(entries, indent=2))
        return
    for each in files:
        click.echo(f"{plain(each.file.absolute)}: {plain(each.reason)}")
