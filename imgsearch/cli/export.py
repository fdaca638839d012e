"""imgsearch export"""

from __future__ import annotations

from contextlib import closing

import click

from imgsearch.cli.completion import files
from imgsearch.cli.group import common, context, model_option
from imgsearch.cli.search_options import filter_options
from imgsearch.cli.terminal import count_of, plain

FORMATS = ("clip-retrieval", "parquet")
DTYPES = ("float16", "float32")


@click.command("export", short_help="Write pictures and vectors into files for other programs.")
@click.argument("target", metavar="DIR|FILE", type=click.Path(), shell_complete=files)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="clip-retrieval: a folder with shards of vectors (npy) and of metadata (parquet). parquet:"
    " one file with both. Default: parquet for a name that ends with .parquet.",
)
@click.option(
    "--dtype",
    type=click.Choice(DTYPES),
    help="Type of the numbers. Default: float16 in shards, float32 in one file.",
)
@click.option(
    "--shard-rows",
    type=click.IntRange(1, 10_000_000),
    default=100_000,
    show_default=True,
    help="Pictures of a shard.",
)
@click.option("--replace", is_flag=True, help="Replace an existing file, or another export.")
@filter_options
@model_option
@common
def command(
    target: str,
    form: str | None,
    dtype: str | None,
    shard_rows: int,
    replace: bool,
    filters: dict[str, tuple[str, ...]],
    model: str | None,
    library: str | None,
    quiet: bool,
    verbose: bool,
) -> None:
    """Write pictures and their vectors into files that other programs read.

    A folder gets the layout of clip-retrieval: img_emb/img_emb_N.npy and
    metadata/metadata_N.parquet, row by row. One parquet file has the vectors in the column vector,
    for embedding-atlas, FiftyOne or pandas. 'imgsearch import' takes both.

    The filters are those of search. Pictures without a vector of the model are left out. After an
    interruption, run the same command again: complete shards are checked and kept.

    \b
    imgsearch export ~/vectors
    imgsearch export pictures.parquet --after 2023 --type jpeg
    imgsearch export ~/vectors --dtype float32 --shard-rows 20000
    """
    from imgsearch.filters.options import filter_from

    ctx = context(library, quiet, verbose)
    with closing(ctx.library(model=model)) as lib:
        where = filter_from(filters)
        done = lib.export(target, where, form or "", dtype or "", shard_rows, replace)
        if done.without_vector:
            ctx.say(
                f"{count_of(done.without_vector, 'picture')} without a vector of {lib.model} left"
                " out. To make them: imgsearch index"
            )
        if not quiet:
            kept = f" ({count_of(done.shards, 'shard')}, {done.kept} of them kept)"
            in_shards = kept if done.shards else ""
            click.echo(plain(f"{count_of(done.images, 'picture')} in {target}{in_shards}"))
