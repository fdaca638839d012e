"""imgsearch migrate"""

from __future__ import annotations

from contextlib import closing

import click

from imgsearch.cli.completion import folders
from imgsearch.cli.group import common, context, without_password
from imgsearch.cli.terminal import count_of, plain


@click.command("migrate", short_help="Copy the catalog to a server, or back into a folder.")
@click.option(
    "--to",
    "target",
    metavar="URL|DIR",
    required=True,
    shell_complete=folders,
    callback=without_password,
    help="An empty database, postgresql://user@host/database; or a folder for a library.",
)
@common
def command(target: str, library: str | None, quiet: bool, verbose: bool) -> None:
    """Copy the catalog of the library into a database on a server, or from there into a folder.

    All rows are compared before the copy can be used. The original is only read, and stays; nothing
    writes to it meanwhile. A copy that was stopped goes on when the command is run again. The index
    and the small pictures in the folder of the library go with both.

    \b
    imgsearch migrate --to postgresql://me@db.example/photos
    imgsearch migrate --catalog postgresql://me@db.example/photos --to ~/pictures.library
    """
    ctx = context(library, quiet, verbose)
    with closing(ctx.library()) as lib:
        rows = lib.migrate(
            target, lambda name, count: ctx.say_verbose(f"{name}: {count_of(count, 'row')}")
        )
    if quiet:
        return
    click.echo(f"{count_of(rows, 'row')} copied and compared")
    setting = "--catalog URL, IMGSEARCH_CATALOG or config.toml" if "://" in target else "--library"
    ctx.say(plain(f"From now on, name the copy: {setting}. Later runs do not update the original."))
