"""imgsearch backup"""

from __future__ import annotations

import click

from imgsearch.cli.group import common, context
from imgsearch.cli.terminal import count_of


@click.command("backup", short_help="Write the library into one file.")
@click.argument("file", type=click.Path())
@click.option("--replace", is_flag=True, help="Replace an existing file.")
@common
def command(library: str | None, quiet: bool, verbose: bool, file: str, replace: bool) -> None:
    """Write the library into one file, while others search and index.

    The file holds everything but the search index, which is rebuilt after 'imgsearch restore'. It
    is checked, and gets its name when it is complete. It contains no pictures.

    \b
    imgsearch backup /mnt/disk/pictures.imgsearch
    imgsearch backup --replace /mnt/disk/pictures.imgsearch
    """
    from imgsearch.exchange.backup import backup

    ctx = context(library, quiet, verbose)
    folder = ctx.folder(
        "Write it with the server's own program, for example: pg_dump --schema imgsearch"
        " --format custom --file FILE DATABASE; or copy it into a folder, and back that up:"
        " imgsearch migrate --to DIR"
    )
    result = backup(folder, file, replace)
    if not quiet:
        click.echo(
            f"{count_of(result.images, 'picture')}, {count_of(result.vectors, 'vector')},"
            f" {result.bytes} bytes"
        )
        click.echo(f"SHA-256 {result.sha256}")
