"""imgsearch merge"""

from __future__ import annotations

from contextlib import closing

import click

from imgsearch.cli.completion import folders
from imgsearch.cli.group import common, context
from imgsearch.cli.terminal import count_of


@click.command("merge", short_help="Add the pictures of another library to this one.")
@click.argument("other", metavar="DIR", type=click.Path(), shell_complete=folders)
@common
def command(other: str, library: str | None, quiet: bool, verbose: bool) -> None:
    """Add the pictures, vectors, texts and saved searches of the library in DIR to this one.

    Folders that both have are joined. Existing data is kept. The other library is only read, after
    an upgrade if its schema is older. Run a merge again if it was stopped.

    Both need vectors of the model that this library searches with. The next search updates the
    search index.

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
        if done.searches:
            searches = "search" if done.searches == 1 else "searches"
            click.echo(f"{done.searches} saved {searches} added")
