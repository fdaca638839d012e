"""imgsearch clusters"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from imgsearch.cli.group import Context, common, context, index_option, model_options
from imgsearch.cli.output import page_option
from imgsearch.cli.terminal import count_of, plain

if TYPE_CHECKING:
    from imgsearch.curation.clusters import ClusterReport, ClusterSummary
    from imgsearch.library import Library
    from imgsearch.records import ImageRecord

MAX_NAME_COLUMNS = 24


@click.command("clusters", short_help="Group the pictures by what they show.")
@click.option("--refit", is_flag=True, help="Group all pictures again, not only the new ones.")
@click.option("--broad", is_flag=True, help="List the broad clusters only.")
@click.option(
    "-n",
    "--examples",
    type=click.IntRange(0, 50),
    default=3,
    show_default=True,
    help="Example pictures of each cluster.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="json has the paths of the examples, and facts from the metadata.",
)
@page_option("small pictures of each cluster")
@click.option(
    "--seed",
    type=click.IntRange(0, 2**31),
    default=0,
    help="Seed of the sample of a large library.",
)
@click.option("--forget", is_flag=True, help="Delete the clusters and nothing else.")
@model_options
@index_option
@common
def command(
    refit: bool,
    broad: bool,
    examples: int,
    form: str,
    html: str | None,
    seed: int,
    forget: bool,
    library: str | None,
    quiet: bool,
    verbose: bool,
    **flags: Any,
) -> int:
    """Group the pictures of the library by what they show, on two levels, and list the groups.

    The first call makes the clusters, from the stored vectors, and names them. Later ones let new
    pictures join. Ids and names stay as the library grows, also with --refit, where a cluster
    keeps a third of its pictures. The columns are id, pictures, name, what the metadata says, and
    an example. Pictures that are like no others are outliers.

    \b
    imgsearch clusters
    imgsearch clusters --html clusters.html -n 12
    imgsearch search --cluster 12
    imgsearch search a dog --where 'cluster = "beach"'
    imgsearch search --where 'not has cluster'
    """
    ctx = context(library, quiet, verbose)
    with closing(ctx.library(**flags)) as lib:
        if forget:
            lib.drop_clusters()
            return 0
        report = lib.clusters(refit, seed, examples)
        if broad:
            broad_ones = [each for each in report.clusters if each.cluster.parent is None]
            report.clusters[:] = broad_ones
        if form == "json":
            click.echo(json.dumps(to_plain(report), indent=2))
        else:
            _print(ctx, report)
        if report.waiting:
            ctx.say(f"{count_of(report.waiting, 'picture')} not in clusters yet.")
        if report.unindexed:
            ctx.say(
                f"{count_of(report.unindexed, 'picture')} not indexed with {report.model}, and in"
                f" no cluster. To index: imgsearch index --model {report.model}"
            )
        return 0 if html is None else _write_page(ctx, lib, report, html)


def _print(ctx: Context, report: ClusterReport) -> None:
    from imgsearch.cli.render import nearest_name, terminal_width
    from imgsearch.cli.terminal import columns, cut

    width = terminal_width()
    for each in report.clusters:
        cluster = each.cluster
        indent = "" if cluster.parent is None else "  "
        name = plain(indent + cluster.name)
        name += " " * (MAX_NAME_COLUMNS - columns(name))
        facts = plain(", ".join(_facts(each)))
        path = plain(nearest_name(each.examples[0].file.absolute)) if each.examples else ""
        start = f"{cluster.id:>5}  {cluster.count:>7}  {name}  " + (f"{facts}  " if facts else "")
        room = None if width is None else max(12, width - columns(start))
        click.echo((start + (path if room is None else cut(path, room))).rstrip())
    if report.outlier_count:
        click.echo(f"{'-':>5}  {report.outlier_count:>7}  outliers")
    if not report.clusters:
        ctx.say("No two pictures are alike enough to make a cluster.")


def _facts(summary: ClusterSummary) -> list[str]:
    facts = summary.facts
    years = "-".join(map(str, facts.years))
    return [each for each in (years, facts.place, facts.camera) if each]


def to_plain(report: ClusterReport) -> dict[str, Any]:
    """The clusters as values for JSON."""
    return {
        "model": report.model,
        "pictures": report.pictures,
        "waiting": report.waiting,
        "unindexed": report.unindexed,
        "outliers": report.outlier_count,
        "outlier_examples": _paths(report.outliers),
        "clusters": [
            {
                "id": each.cluster.id,
                "name": each.cluster.name,
                "parent": each.cluster.parent,
                "count": each.cluster.count,
                "years": list(each.facts.years),
                "place": each.facts.place or None,
                "camera": each.facts.camera or None,
                "examples": _paths(each.examples),
            }
            for each in report.clusters
        ],
    }


def _paths(images: Sequence[ImageRecord]) -> list[str]:
    return [image.file.absolute for image in images]


def _write_page(ctx: Context, lib: Library, report: ClusterReport, target: str) -> int:
    from imgsearch.cli.contact_sheet import write_sections
    from imgsearch.searching.hits import Hit

    parents = {each.cluster.parent for each in report.clusters}
    leaves = [each for each in report.clusters if each.cluster.id not in parents]
    sections = [
        (
            f"{each.cluster.name} ({count_of(each.cluster.count, 'picture')},"
            f" --cluster {each.cluster.id})",
            each.examples,
        )
        for each in leaves
    ]
    if report.outliers:
        sections.append((f"outliers ({report.outlier_count})", tuple(report.outliers)))
    hits = [
        (heading, [Hit(rank, None, image) for rank, image in enumerate(images, start=1)])
        for heading, images in sections
    ]
    return write_sections(ctx, lib, hits, target, "Clusters")
