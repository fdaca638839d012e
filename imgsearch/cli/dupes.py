"""imgsearch dupes"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from imgsearch.cli.group import Context, common, context, index_option, model_option
from imgsearch.cli.output import collect_options, page_option
from imgsearch.cli.render import nearest_name
from imgsearch.cli.search_options import filter_options
from imgsearch.cli.terminal import count_of, plain, visible
from imgsearch.filters.options import filter_from

if TYPE_CHECKING:
    from imgsearch.curation.duplicate_groups import DuplicateGroup
    from imgsearch.library import Library
    from imgsearch.searching.hits import Hit

TRASH_FOLDER = os.path.join("~", ".imgsearch-trash")


@click.command("dupes", short_help="Find duplicates, and the pictures to keep.")
@click.option(
    "--level",
    type=click.Choice(["exact", "copies", "shots"]),
    default="copies",
    show_default=True,
    help="Same bytes; also saved again or resized; also near-identical shots.",
)
@click.option(
    "--prefer",
    multiple=True,
    metavar="GLOB",
    help="Prefer to keep pictures with such paths: '*/Photos/*'.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "paths0", "sh"]),
    default="table",
    show_default=True,
    help="paths0: all but the best, each with a NUL; sh: a script that moves these to --trash.",
)
@click.option(
    "--trash",
    type=click.Path(),
    metavar="DIR",
    default=TRASH_FOLDER,
    show_default=True,
    help="Folder for --format sh.",
)
@page_option("the groups side by side")
@collect_options("all but the best")
@filter_options
@model_option
@index_option
@common
def command(
    level: str,
    prefer: tuple[str, ...],
    form: str,
    trash: str,
    html: str | None,
    copy_to: str | None,
    link_to: str | None,
    filters: dict[str, tuple[str, ...]],
    library: str | None,
    quiet: bool,
    verbose: bool,
    **flags: Any,
) -> int:
    """Find duplicates, and the pictures to keep.

    Nothing is deleted or moved. The picture to keep is the one with a preferred path, then the one
    with the most pixels, the better format (RAW, lossless, others), the most metadata, the largest
    file, the shortest path. docs/CURATION.md explains the levels. The filters are those of search,
    and only pictures that pass them are compared.

    \b
    imgsearch dupes
    imgsearch dupes --level exact --in ~/Pictures --prefer '*/Originals/*'
    imgsearch dupes --level shots --html shots.html
    imgsearch dupes --format sh | less        # into a file, read it, then run it with sh
    imgsearch dupes --format paths0 | xargs -0 ls -l
    """
    ctx = context(library, quiet, verbose)
    with closing(ctx.library(**flags)) as lib:
        groups = [*lib.duplicates(filter_from(filters), level, prefer)]
        _print(FORMATS[form](groups, trash))
        count = sum(len(group.duplicates) for group in groups)
        megabytes = sum(group.size for group in groups) / 1e6
        ctx.say(
            f"{count_of(len(groups), 'group')}, {count_of(count, 'duplicate')},"
            f" {megabytes:.1f} MB in duplicates."
        )
        return _delivered(ctx, lib, groups, html, copy_to, link_to)


def _print(text: str) -> None:
    if sys.stdout.isatty():
        text = plain(text, keep="\n\0")
    sys.stdout.flush()
    sys.stdout.buffer.write(os.fsencode(text))
    sys.stdout.buffer.flush()


def _table(groups: Sequence[DuplicateGroup], trash: str) -> str:
    lines = []
    for number, group in enumerate(groups, 1):
        rows = [("keep", group.best), *((each.kind, each.image) for each in group.duplicates)]
        for kind, image in rows:
            metadata = image.metadata
            facts = f"{metadata.width}x{metadata.height} {metadata.format}, {image.file.size} bytes"
            name = plain(nearest_name(image.file.absolute))
            lines.append(f"{number:>4}  {kind:<5}  {name}  ({facts})\n")
    return "".join(lines)


def _json(groups: Sequence[DuplicateGroup], trash: str) -> str:
    from imgsearch.curation.duplicate_groups import group_to_plain
    from imgsearch.searching.hits import record_to_plain

    return json.dumps([group_to_plain(each, record_to_plain) for each in groups], indent=2) + "\n"


def _paths0(groups: Sequence[DuplicateGroup], trash: str) -> str:
    paths = [each.image.file.absolute for group in groups for each in group.duplicates]
    return "".join(visible(path) + "\0" for path in paths)


def _script(groups: Sequence[DuplicateGroup], trash: str) -> str:
    from imgsearch.cli.trash_script import trash_script

    return trash_script(groups, os.path.abspath(os.path.expanduser(trash)))


FORMATS: dict[str, Callable[[Sequence[DuplicateGroup], str], str]] = {
    "table": _table,
    "json": _json,
    "paths0": _paths0,
    "sh": _script,
}


def _delivered(
    ctx: Context,
    lib: Library,
    groups: Sequence[DuplicateGroup],
    html: str | None,
    copy_to: str | None,
    link_to: str | None,
) -> int:
    """Write the page and the collections; the exit status."""
    from imgsearch.cli.collect import Copies, Links, collect
    from imgsearch.cli.contact_sheet import write_sheet

    status = 0
    if html is not None:
        marks = {group.best.id: "keep" for group in groups}
        marks |= {each.image.id: each.kind for group in groups for each in group.duplicates}
        status |= write_sheet(ctx, lib, _hits(groups, best=True), html, "Duplicates", marks)
    if copy_to is not None:
        status |= collect(ctx, lib, _hits(groups, best=False), Copies(copy_to))
    if link_to is not None:
        status |= collect(ctx, lib, _hits(groups, best=False), Links(link_to))
    return status


def _hits(groups: Sequence[DuplicateGroup], best: bool) -> list[Hit]:
    """The pictures of the groups as hits whose rank is the number of the group."""
    from imgsearch.searching.hits import Hit

    hits = []
    for number, group in enumerate(groups, 1):
        hits += [Hit(number, None, group.best)] if best else []
        hits += [Hit(number, each.score, each.image) for each in group.duplicates]
    return hits
