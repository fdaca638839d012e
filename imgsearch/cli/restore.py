"""imgsearch restore"""

from __future__ import annotations

import click

from imgsearch.cli.group import common, context
from imgsearch.cli.terminal import count_of, plain


@click.command("restore", short_help="Make a library from a backup.")
@click.argument("file", type=click.Path())
@click.option("--replace", is_flag=True, help="Replace the library in the folder.")
@common
def command(library: str | None, quiet: bool, verbose: bool, file: str, replace: bool) -> None:
    """Make a library from a file written by 'imgsearch backup'.

    The folder of the library must be new or empty. With --replace it may hold a library that no
    other process has open. The first search rebuilds the search index.

    \b
    imgsearch restore --library ~/pictures.library /mnt/disk/pictures.imgsearch
    imgsearch restore --replace /mnt/disk/pictures.imgsearch
    """
    from imgsearch.exchange.backup import restore

    ctx = context(library, quiet, verbose)
    folder = ctx.folder(
        "A file of pg_dump is restored by pg_restore. One of 'imgsearch backup' becomes a library"
        " in a folder without --catalog (IMGSEARCH_CATALOG, config.toml), which"
        " 'imgsearch migrate --to URL' copies into an empty database."
    )
    result = restore(file, folder, replace)
    if not quiet:
        found = f"{count_of(result.images, 'picture')}, {count_of(result.vectors, 'vector')}"
        click.echo(plain(f"{found}, in {folder}"))
