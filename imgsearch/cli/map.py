"""imgsearch map"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from imgsearch.cli.completion import files
from imgsearch.cli.group import Context, common, context, index_option, model_options
from imgsearch.cli.search_options import filter_options
from imgsearch.cli.terminal import complain, count_of, plain

if TYPE_CHECKING:
    from imgsearch.curation.map import PictureMap
    from imgsearch.library import Library
    from imgsearch.records import Thumbnail

MAX_SMALL_PICTURES = 256
"""Small pictures of a page or a drawing."""
MAX_DRAWN_PICTURES = 64
"""Of up to as many pictures, a drawing shows all in small instead of points."""
SIDE = 96
_PATHS_PER_READ = 10_000
_NEW_FILES = {
    "svg": "Choose a new file: --svg map.svg",
    "png": "Choose a new file: --png map.png",
}


@click.command("map", short_help="Lay the pictures out on a plane, similar ones together.")
@click.option(
    "--html",
    metavar="FILE",
    shell_complete=files,
    help="Write a page with the map, to move and zoom, with small pictures when near.",
)
@click.option("--png", metavar="FILE", shell_complete=files, help="Write a drawing of the map.")
@click.option("--svg", metavar="FILE", shell_complete=files, help="Write a drawing of the map.")
@click.option(
    "--parquet",
    metavar="FILE",
    shell_complete=files,
    help="Write the pictures as a table with the columns x and y. Needs the extra [export].",
)
@click.option("--json", "as_json", is_flag=True, help="Print clusters and pictures with x and y.")
@click.option("--refit", is_flag=True, help="Lay out all pictures again, not only the new ones.")
@click.option(
    "--seed", type=click.IntRange(0, 2**31), default=0, help="Of the landmarks of a large library."
)
@filter_options
@model_options
@index_option
@common
def command(
    html: str | None,
    png: str | None,
    svg: str | None,
    parquet: str | None,
    as_json: bool,
    refit: bool,
    seed: int,
    filters: dict[str, tuple[str, ...]],
    library: str | None,
    quiet: bool,
    verbose: bool,
    **flags: Any,
) -> int:
    """Lay the pictures of the library out on a plane, so that similar ones lie together.

    The first call lays them out, from the stored vectors, and names their clusters as 'imgsearch
    clusters' does. Later ones place new pictures among the others, which do not move; --refit lays
    out all again. The table has the id, the pictures and the name of each cluster, and where it
    lies: x and y from -1 to 1. The filters are those of search, and move nothing.

    \b
    imgsearch map --html map.html
    imgsearch map --png 2023.png --after 2023 --before 2024
    imgsearch map --json --cluster mountain
    """
    from imgsearch.filters.options import filter_from

    ctx = context(library, quiet, verbose)
    _require_free(html, png, svg, parquet)
    with closing(ctx.library(**flags)) as lib:
        shown = lib.map(filter_from(filters), refit, seed)
        if as_json:
            _print_json(lib, shown)
        else:
            _print_table(shown)
        if shown.unindexed:
            ctx.say(
                f"{count_of(shown.unindexed, 'picture')} not indexed with {shown.model}, and not on"
                f" the map. To index: imgsearch index --model {shown.model}"
            )
        if len(shown.ids) > 1 and not shown.positions.any():
            ctx.say("All these pictures are equal to the model, and lie at one place.")
        if not any((as_json, html, png, svg, parquet)):
            ctx.say("To see the map: imgsearch map --html map.html")
        return _write(ctx, lib, shown, html, png, svg, parquet)


def _require_free(html: str | None, png: str | None, svg: str | None, parquet: str | None) -> None:
    """Refuse files that are not ours, before the map is made."""
    from imgsearch.cli.contact_sheet import require_ours, require_writable
    from imgsearch.cli.map_page import SVG_MARK
    from imgsearch.exchange.export import require_new
    from imgsearch.sources.map_drawing import MARK

    if html is not None:
        require_writable(html)
    if svg is not None:
        require_ours(svg, SVG_MARK, "map", _NEW_FILES["svg"])
    if png is not None:
        require_ours(png, MARK, "map", _NEW_FILES["png"])
    if parquet is not None:
        require_new(parquet)


def _print_table(shown: PictureMap) -> None:
    for each in shown.broad():
        name = plain(each.name)
        click.echo(f"{each.id:>5}  {each.count:>7}  {name:<24}  {each.x:>6.2f}  {each.y:>6.2f}")
    if outliers := int((shown.clusters == 0).sum()):
        click.echo(f"{'-':>5}  {outliers:>7}  {'in no cluster' if shown.regions else 'pictures'}")


def _print_json(lib: Library, shown: PictureMap) -> None:
    """One object, written as it is made."""
    from imgsearch.curation.map import region_to_plain

    head = {
        "model": shown.model,
        "pictures": len(shown.ids),
        "unindexed": shown.unindexed,
        "clusters": [region_to_plain(each) for each in shown.regions],
    }
    click.echo(f'{json.dumps(head)[:-1]}, "points": [', nl=False)
    for number, point in enumerate(_points(lib, shown)):
        click.echo(f"{',' * (number > 0)}\n{json.dumps(point)}", nl=False)
    click.echo("\n]}")


def _points(lib: Library, shown: PictureMap) -> Iterator[dict[str, Any]]:
    for start in range(0, len(shown.ids), _PATHS_PER_READ):
        part = slice(start, start + _PATHS_PER_READ)
        ids = shown.ids[part].tolist()
        paths = lib.catalog.paths(ids)
        places, clusters = shown.positions[part].tolist(), shown.clusters[part].tolist()
        for key, (x, y), cluster in zip(ids, places, clusters, strict=True):
            yield {
                "id": key,
                "path": paths.get(key),
                "x": round(x, 6),
                "y": round(y, 6),
                "cluster": cluster or None,
            }


def _write(
    ctx: Context,
    lib: Library,
    shown: PictureMap,
    html: str | None,
    png: str | None,
    svg: str | None,
    parquet: str | None,
) -> int:
    """Write the requested files; 1 if a small picture could not be made."""
    from imgsearch.cli import map_page
    from imgsearch.exchange.columns import Places
    from imgsearch.exchange.export import write_places

    if parquet is not None:
        write_places(lib.catalog, Places(shown.ids, shown.positions), parquet)
        _report(ctx, parquet, shown)
    if not any((html, png, svg)):
        return 0
    near, missing = _small_pictures(lib, shown, whole=html is not None)
    drawn = near if len(shown.ids) <= MAX_DRAWN_PICTURES else {}
    some = _at_most(shown, map_page.MAX_PAGE_POINTS)
    if png is not None:
        _replace(ctx, png, map_page.map_png(shown, drawn), shown)
    if svg is not None:
        _replace(ctx, svg, map_page.map_svg(some, drawn), some)
    if html is not None:
        names = _names(lib, some.ids.tolist())
        _replace(ctx, html, map_page.map_page(some, names, near), some)
    return int(missing)


def _replace(ctx: Context, target: str, data: bytes, shown: PictureMap) -> None:
    from imgsearch.writing import replace_file

    replace_file(target, data)
    _report(ctx, target, shown)


def _report(ctx: Context, target: str, shown: PictureMap) -> None:
    ctx.say(f"Wrote {target}: {count_of(len(shown.ids), 'picture')}.")


def _at_most(shown: PictureMap, count: int) -> PictureMap:
    """The map, or pictures from all over it."""
    chosen = shown.spread(count)
    return replace(
        shown,
        ids=shown.ids[chosen],
        positions=shown.positions[chosen],
        clusters=shown.clusters[chosen],
    )


def _names(lib: Library, ids: Sequence[int]) -> dict[int, str]:
    from imgsearch.cli.render import nearest_name

    paths: dict[int, str] = {}
    for start in range(0, len(ids), _PATHS_PER_READ):
        paths |= lib.catalog.paths(ids[start : start + _PATHS_PER_READ])
    return {key: nearest_name(path) for key, path in paths.items()}


def _small_pictures(
    lib: Library, shown: PictureMap, whole: bool
) -> tuple[dict[int, Thumbnail], bool]:
    """Small pictures from all over the map by id, and True if one could not be made."""
    from imgsearch.records import Thumbnail
    from imgsearch.searching.hits import Hit

    if not whole and len(shown.ids) > MAX_DRAWN_PICTURES:
        return {}, False
    ids = shown.ids[shown.spread(MAX_SMALL_PICTURES)].tolist()
    records = lib.catalog.get(ids)
    hits = [Hit(rank, None, records[key]) for rank, key in enumerate(ids, 1) if key in records]
    made: dict[int, Thumbnail] = {}
    found = lib.thumbnails(hits, SIDE)
    for key, each in found.items():
        if isinstance(each, Thumbnail):
            made[key] = each
        else:
            complain(f"{each.file.absolute}: {each.reason}")
    return made, len(made) < len(found)
