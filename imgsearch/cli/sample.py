"""imgsearch sample"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from imgsearch.cli import completion
from imgsearch.cli.group import common, context, index_option
from imgsearch.cli.output import Output, collect_options, page_option
from imgsearch.cli.search_options import filter_options, format_option

if TYPE_CHECKING:
    from imgsearch.curation.sample import Kind


@click.command("sample", short_help="Choose a few pictures: at random, diverse, or typical.")
@click.argument("count", metavar="N", type=click.IntRange(min=1))
@click.option("--diverse", "kind", flag_value="diverse", help="As unlike each other as possible.")
@click.option("--typical", "kind", flag_value="typical", help="One of each of N groups.")
@click.option("--outliers", "kind", flag_value="outliers", help="Pictures that are like no others.")
@click.option(
    "--seed",
    type=click.IntRange(0, 2**31),
    default=0,
    help="Seed of the random choice; another one draws other pictures.",
)
@format_option
@page_option()
@collect_options()
@filter_options
@click.option(
    "--model",
    metavar="NAME",
    shell_complete=completion.models,
    help="Model whose vectors to compare. Default: the library's.",
)
@index_option
@common
def command(
    count: int,
    kind: Kind | None,
    seed: int,
    form: str,
    html: str | None,
    copy_to: str | None,
    link_to: str | None,
    filters: dict[str, tuple[str, ...]],
    library: str | None,
    quiet: bool,
    verbose: bool,
    **flags: Any,
) -> int:
    """Choose N pictures out of the library, or out of those that pass the filters.

    Without an option they are drawn at random, and the same call draws the same ones. The others
    compare stored vectors; no picture is read, and no model is loaded. --diverse starts with the
    most usual picture and repeatedly adds the one most unlike those chosen. --typical takes the
    picture in the middle of each of N groups, the largest group first. The filters are those of
    search.

    \b
    imgsearch sample 20
    imgsearch sample 12 --diverse --after 2023 --copy-to ~/Best
    imgsearch sample 9 --typical --cluster mountain --html mountains.html
    imgsearch sample 50 --outliers --format paths
    """
    from imgsearch.filters.options import filter_from
    from imgsearch.searching.hits import Hit, SearchResult

    ctx = context(library, quiet, verbose)
    with closing(ctx.session(no_daemon=True, **flags)) as session:
        images = session.library.sample(count, kind or "random", filter_from(filters), seed)
        hits = [Hit(rank, None, image) for rank, image in enumerate(images, start=1)]
        result = SearchResult(hits, text=f"{kind or 'random'} pictures")
        if not hits:
            ctx.say("No picture passes the filter.")
        output = Output(html=html, copy_to=copy_to, link_to=link_to)
        return output.deliver(ctx, session, result, form)
