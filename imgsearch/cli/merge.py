"""imgsearch merge"""

from __future__ import annotations

from contextlib import closing

import click

from imgsearch.cli.completion import folders
from imgsearch.cli.group import common, context
from imgsearch.cli.terminal import count_of


@click.command("merge", short_help="Take the pictures of another library into this one.")
@click.argument("other", metavar="DIR", type=click.Path(), shell_complete=folders)
@common
def command(other: str, library: str | None, quiet: bool, verbose: bool) -> None:
    """Take the pictures, vectors and texts of the library in DIR into this one.

    Folders that both have are joined. What is here stays, and the other library is only read; an
    older one is brought up to date first. A merge that was stopped is run again.

    Both need vectors of the model that this library searches with. The search index follows with
    the next search.

    \b
    imgsearch merge /mnt/laptop/pictures.library
    imgsearch merge --library ~/all.library ~/old.library
    """
    ctx = context(library, quiet, verbose)
    with closing(ctx.library()) as lib:
        done = lib.merge(other)
    if done.differing:
        ctx.say(
            f"{count_of(done.differing, 'picture')} left alone: this library knows another file"
            " at that path, or none. 'imgsearch index' looks at the files."
        )
    if not quiet:
        click.echo(
            f"{count_of(done.added, 'picture')} added, {done.known} here already,"
            f" {count_of(done.vectors, 'vector')} added"
        )
