"""imgsearch import"""

from __future__ import annotations

from contextlib import closing

import click

from imgsearch.cli.completion import files
from imgsearch.cli.group import common, context
from imgsearch.cli.terminal import complain, count_of, plain

MAX_SHOWN_PATHS = 3


@click.command("import", short_help="Import vectors that another machine has made.")
@click.argument("source", metavar="DIR|FILE", type=click.Path(), shell_complete=files)
@common
def command(source: str, library: str | None, quiet: bool, verbose: bool) -> int:
    """Import the vectors of an export for pictures with the same bytes.

    Encode on a machine with a GPU, search on a laptop: index the pictures on both, on the laptop
    with any model; export there, import here. The next 'imgsearch index --model NAME' encodes only
    pictures that got no vector.

    Vectors of a model, or of a version of it, that this machine does not have are refused. Existing
    vectors are kept. Pictures that are not in the library are listed (-v: up to 1000) and ignored.
    The exit status is 1 if rows were damaged and left out.

    \b
    imgsearch import /mnt/usb/vectors
    imgsearch import pictures.parquet
    """
    ctx = context(library, quiet, verbose)
    with closing(ctx.library()) as lib:
        report = lib.import_vectors(source)
    shown = report.unknown_paths if verbose else report.unknown_paths[:MAX_SHOWN_PATHS]
    if report.unknown:
        more = " …" if len(shown) < report.unknown else ""
        ctx.say(f"{count_of(report.unknown, 'picture')} not in the library:")
        ctx.say("\n".join(f"  {plain(path)}" for path in shown) + more)
    if report.unsound:
        complain(
            f"{count_of(report.unsound, 'row')} left out, with a vector that is not of unit norm,"
            " or without a content hash"
        )
    for note in report.notes:
        ctx.say(note)
    if not quiet:
        click.echo(
            f"{count_of(report.rows, 'row')}: {count_of(report.added, 'vector')} added,"
            f" {count_of(report.known, 'picture')} in the library, {report.unknown} not"
        )
    return 1 if report.unsound else 0
