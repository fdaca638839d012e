"""imgsearch roots"""

from __future__ import annotations

import json
import os
from contextlib import closing

import click

from imgsearch.cli import completion
from imgsearch.cli.group import Context, common, context
from imgsearch.cli.terminal import count_of, plain


@click.command("roots", short_help="List the folders of the library, or remove one.")
@click.option(
    "--forget",
    metavar="PATH",
    shell_complete=completion.roots,
    help="Remove this folder from the library.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@common
def command(
    forget: str | None, as_json: bool, library: str | None, quiet: bool, verbose: bool
) -> None:
    """List the folders of the library, with the number of pictures in each.

    \b
    imgsearch roots
    imgsearch roots --forget ~/Pictures/old
    """
    ctx = context(library, quiet, verbose)
    if forget is not None:
        with closing(ctx.library()) as lib:
            _forget(ctx, lib.forget(forget), forget)
    with closing(ctx.overview()) as overview:
        roots = overview.roots()
    if as_json:
        from imgsearch.records import root_to_plain

        click.echo(json.dumps([root_to_plain(root) for root in roots], indent=2))
        return
    for root in roots:
        note = "" if os.path.isdir(root.path) else "  (missing)"
        exclude = f"  without {plain(' '.join(root.exclude))}" if root.exclude else ""
        click.echo(f"{root.images:>8}  {plain(root.path)}{exclude}{note}")


def _forget(ctx: Context, count: int, path: str) -> None:
    pictures = count_of(count, "picture")
    ctx.say(f"Removed {path} from the library, without touching its {pictures} on disk.")
