"""imgsearch bench"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from imgsearch.cli.group import Context, common, context, index_option, model_options

if TYPE_CHECKING:
    from imgsearch.bench.measurement import Row

PRECISIONS = ("fp32", "bf16", "fp16", "autocast")
KINDS = ("text", "image")
MOST_BATCH = 4096
F = TypeVar("F", bound=Callable[..., Any])


def _words(allowed: Sequence[str]) -> Callable[..., tuple[str, ...]]:
    """A callback for an option that is repeated or holds a comma list of these words."""

    def read(ctx: click.Context, option: click.Parameter, value: Any) -> tuple[str, ...]:
        words = [word.strip() for each in value for word in each.split(",")]
        for word in words:
            if word not in allowed:
                raise click.BadParameter(f"{word!r} is none of {', '.join(allowed)}.", ctx, option)
        return tuple(dict.fromkeys(words))

    return read


def _sizes(ctx: click.Context, option: click.Parameter, value: str) -> tuple[int, ...]:
    """A comma list of batch sizes."""
    sizes = []
    for word in value.split(","):
        if not word.strip().isdecimal() or not 1 <= int(word) <= MOST_BATCH:
            raise click.BadParameter(
                f"{word.strip()!r} is no batch size: give whole numbers from 1 to {MOST_BATCH},"
                " such as 1,8,16.",
                ctx,
                option,
            )
        sizes.append(int(word))
    return tuple(dict.fromkeys(sizes))


def _picture(ctx: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """A file to draw into; told now and not after minutes of measuring."""
    if value is None:
        return None
    if not value.lower().endswith(".png"):
        raise click.BadParameter(f"{value} does not end in .png.", ctx, option)
    if not os.path.isdir(os.path.dirname(os.path.abspath(value))):
        raise click.BadParameter(f"there is no folder to write {value} into.", ctx, option)
    return value


def _counts_and_dimensions(
    ctx: click.Context, option: click.Parameter, values: Sequence[str]
) -> list[tuple[int, int]]:
    found = []
    for value in values:
        words = value.split(",")
        if len(words) != 2 or not all(word.strip().isdecimal() and int(word) for word in words):
            raise click.BadParameter(
                f"{value!r} is not N,DIM: give how many vectors and how long, such as 100000,768.",
                ctx,
                option,
            )
        found.append((int(words[0]), int(words[1])))
    return found


def _drawing(ctx: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """A file to draw into, in a folder that is there."""
    if value is not None and not os.path.isdir(os.path.dirname(os.path.abspath(value))):
        raise click.BadParameter(f"there is no folder to write {value} into.", ctx, option)
    if value is not None and not value.lower().endswith(".svg"):
        raise click.BadParameter(f"{value} does not end in .svg.", ctx, option)
    return value


def _json_option(function: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")(function)


@click.group(
    "bench",
    invoke_without_command=True,
    short_help="Measure a model, indexing or searching on this machine.",
)
@click.option("--model", metavar="NAME", help="Name or folder of a model. Default: as for search.")
@click.option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:N or mps.")
@click.option("--threads", type=click.IntRange(1, 1024), help="CPU threads of the model.")
@click.option(
    "--precision",
    "precisions",
    multiple=True,
    callback=_words(PRECISIONS),
    metavar="LIST",
    help=f"Of {', '.join(PRECISIONS)}; may be repeated. Default: what the device does well.",
)
@click.option(
    "--batch-sizes",
    default="1,8,16",
    show_default=True,
    callback=_sizes,
    metavar="LIST",
    help="Inputs per call.",
)
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    default=KINDS,
    callback=_words(KINDS),
    metavar="LIST",
    help="text, image, or both, which is the default.",
)
@click.option(
    "--image-size",
    type=click.IntRange(28, 8192),
    default=448,
    show_default=True,
    help="Pixels a side of the pictures that the model is given.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0, 3600),
    default=1.0,
    show_default=True,
    help="Measure each figure for at least so long.",
)
@click.option(
    "--repeats",
    type=click.IntRange(1, 1000),
    default=5,
    show_default=True,
    help="Timed calls for each figure, at least.",
)
@click.option(
    "--interleave",
    is_flag=True,
    help="Load all precisions at once and call them in turn, for machines that others use, too.",
)
@click.option(
    "--random-weights",
    is_flag=True,
    help="The model's architecture with random weights, for want of its own; nothing is indexed.",
)
@click.option(
    "--plot",
    metavar="FILE.png",
    callback=_picture,
    help="Draw the latencies; needs the extra [bench].",
)
@_json_option
@common
@click.pass_context
def command(
    ctx: click.Context,
    /,
    precisions: tuple[str, ...],
    batch_sizes: tuple[int, ...],
    kinds: tuple[str, ...],
    image_size: int,
    seconds: float,
    repeats: int,
    interleave: bool,
    random_weights: bool,
    plot: str | None,
    as_json: bool,
    library: str | None,
    quiet: bool,
    verbose: bool,
    **flags: Any,
) -> None:
    """Measure how fast a model is on this machine, and how much memory it takes.

    Texts and pictures go through it in batches, in each precision. A figure is the median time
    of calls that start with words or pixels and end with vectors, after two calls that are not
    timed. Memory is that of tensors on a GPU, and that of the whole process on a processor.
    'x fp32' is the speed-up against float32, 'cosine' the least agreement with its vectors.
    On a processor fp16 is measured only where it is asked for.

    \b
    imgsearch bench --model builtin --batch-sizes 1,16
    imgsearch bench --model gme-qwen2-vl-2b --random-weights --device cuda --plot gme.png
    """
    found = context(library, quiet, verbose)
    if ctx.invoked_subcommand:
        return
    from imgsearch.bench.measurement import Work
    from imgsearch.bench.model_bench import measure_model
    from imgsearch.bench.plot import draw, require_matplotlib
    from imgsearch.cli.bench_tables import model_table

    if plot:
        require_matplotlib()
    work = Work(precisions, kinds, batch_sizes, image_size, seconds, repeats, interleave)
    lib = found.library(**flags)
    try:
        report = measure_model(lib, work, random_weights, lambda row: _tell(found, row))
    finally:
        lib.close()
    click.echo(json.dumps(report.plain()) if as_json else model_table(report))
    if plot:
        draw(report, plot)
        found.say(f"Drawn: {plot}")


def _tell(found: Context, row: Row) -> None:
    if found.verbose:
        what = row.note or f"{row.latency_ms:.1f} ms"
        found.say(f"{row.precision} {row.kind} x{row.batch}: {what}")


@command.command("index", short_help="Decode only, encode only, and both, of a folder.")
@click.argument("folder", type=click.Path(exists=True, file_okay=False))
@model_options
@click.option("--batch-size", type=click.IntRange(1, MOST_BATCH), help="Pictures per batch.")
@click.option("--workers", type=click.IntRange(1, 256), help="Decoder processes.")
@_json_option
@common
def index(
    folder: str, as_json: bool, library: str | None, quiet: bool, verbose: bool, **flags: Any
) -> None:
    """Measure indexing of FOLDER: decoding alone, the model alone, and end to end.

    What it measures is the pictures that FOLDER holds, so take some hundred of yours. They are
    indexed into a library of its own, which is removed; yours is not touched. Nothing is written
    into FOLDER. The efficiency is the rate end to end over that of the slower half.

    \b
    imgsearch bench index ~/Pictures/2024
    imgsearch bench index ~/Pictures/2024 --model siglip2-base --workers 2 --json
    """
    from imgsearch.bench.index_bench import measure_indexing
    from imgsearch.cli.bench_tables import index_table

    ctx = context(library, quiet, verbose)
    report = measure_indexing(ctx.library(**flags).settings, folder, ctx.say)
    click.echo(json.dumps(report.plain()) if as_json else index_table(report))


@command.command("search", short_help="Latency and recall of searches.")
@click.option(
    "--synthetic",
    metavar="N,DIM",
    multiple=True,
    callback=_counts_and_dimensions,
    help="N made-up vectors of DIM numbers, in place of your library; may be repeated.",
)
@click.option(
    "--folder",
    type=click.Path(file_okay=False),
    default="",
    help="Keep the indexes of --synthetic there, and use them again.",
)
@click.option(
    "--plot",
    metavar="FILE.svg",
    callback=_drawing,
    help="Draw how cost grows over several --synthetic; needs the extra [bench].",
)
@click.option(
    "--repeats", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Timed calls."
)
@model_options
@index_option
@_json_option
@common
def search(
    synthetic: list[tuple[int, int]],
    folder: str,
    plot: str | None,
    repeats: int,
    as_json: bool,
    library: str | None,
    quiet: bool,
    verbose: bool,
    **flags: Any,
) -> None:
    """Measure searches of your library: opening it, one text, the index, and all together.

    Recall is the share of the ten best pictures, by exact products in NumPy, that the index finds.
    With --synthetic an index is made, and there is more to measure: opening it in a fresh process,
    searches among a share of the vectors, FAISS's own search of the same lists, and a search while
    another process keeps a core busy.

    \b
    imgsearch bench search
    imgsearch bench search --synthetic 100000,768
    imgsearch bench search --synthetic 1000,768 --synthetic 100000,768 --plot growth.svg
    """
    from imgsearch.bench.plot import draw_growth, require_matplotlib
    from imgsearch.bench.search_bench import measure_search, measure_synthetic
    from imgsearch.cli.bench_tables import search_table

    if plot:
        require_matplotlib()

    lib = context(library, quiet, verbose).library(**flags)
    try:
        measured = (measure_synthetic(lib, *each, repeats, folder) for each in synthetic)
        reports = []
        for report in measured if synthetic else [measure_search(lib, repeats)]:
            click.echo(json.dumps(report.plain()) if as_json else search_table(report) + "\n")
            reports.append(report)
    finally:
        lib.close()
    if plot:
        draw_growth(reports, plot)
