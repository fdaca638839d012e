"""imgsearch bench"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from imgsearch.cli.completion import DEVICES, files, models, values
from imgsearch.cli.group import (
    Context,
    common,
    context,
    index_option,
    model_options,
    workers_option,
)

if TYPE_CHECKING:
    from imgsearch.bench.measurement import Row

PRECISIONS = ("fp32", "bf16", "fp16", "autocast")
KINDS = ("text", "image")
MAX_BATCH_SIZE = 4096
F = TypeVar("F", bound=Callable[..., Any])


def _words(allowed: Sequence[str]) -> Callable[..., tuple[str, ...]]:
    """A callback for a repeatable option that takes comma-separated words of `allowed`."""

    def read(ctx: click.Context, option: click.Parameter, value: Any) -> tuple[str, ...]:
        words = [word.strip() for each in value for word in each.split(",")]
        for word in words:
            if word not in allowed:
                raise click.BadParameter(
                    f"{word!r} is not one of {', '.join(allowed)}.", ctx, option
                )
        return tuple(dict.fromkeys(words))

    return read


def _sizes(ctx: click.Context, option: click.Parameter, value: str) -> tuple[int, ...]:
    """Parse comma-separated batch sizes."""
    sizes = []
    for word in value.split(","):
        if not word.strip().isdecimal() or not 1 <= int(word) <= MAX_BATCH_SIZE:
            raise click.BadParameter(
                f"{word.strip()!r} is not a valid batch size: give whole numbers from 1 to"
                f" {MAX_BATCH_SIZE}, such as 1,8,16.",
                ctx,
                option,
            )
        sizes.append(int(word))
    return tuple(dict.fromkeys(sizes))


def _picture(ctx: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """Check the file of a plot before minutes of measuring."""
    if value is None:
        return None
    if not value.lower().endswith(".png"):
        raise click.BadParameter(f"{value} does not end in .png.", ctx, option)
    if not os.path.isdir(os.path.dirname(os.path.abspath(value))):
        raise click.BadParameter(f"the folder of {value} does not exist.", ctx, option)
    return value


def _counts_and_dimensions(
    ctx: click.Context, option: click.Parameter, values: Sequence[str]
) -> list[tuple[int, int]]:
    pairs = []
    for value in values:
        words = value.split(",")
        if len(words) != 2 or not all(word.strip().isdecimal() and int(word) for word in words):
            raise click.BadParameter(
                f"{value!r} is not N,DIM: the number and length of vectors, such as 100000,768.",
                ctx,
                option,
            )
        pairs.append((int(words[0]), int(words[1])))
    return pairs


def _drawing(ctx: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """Check the file of a drawing."""
    if value is not None and not os.path.isdir(os.path.dirname(os.path.abspath(value))):
        raise click.BadParameter(f"the folder of {value} does not exist.", ctx, option)
    if value is not None and not value.lower().endswith(".svg"):
        raise click.BadParameter(f"{value} does not end in .svg.", ctx, option)
    return value


def _json_option(function: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")(function)


@click.group(
    "bench",
    invoke_without_command=True,
    short_help="Measure the speed of a model, indexing or searches.",
)
@click.option(
    "--model",
    metavar="NAME",
    shell_complete=models,
    help="Name or folder of a model. Default: the model that search uses.",
)
@click.option(
    "--device",
    metavar="NAME",
    shell_complete=values(*DEVICES),
    help="auto, cpu, cuda, cuda:N or mps.",
)
@click.option("--threads", type=click.IntRange(1, 1024), help="CPU threads of the model.")
@click.option(
    "--precision",
    "precisions",
    multiple=True,
    callback=_words(PRECISIONS),
    metavar="LIST",
    help=f"{', '.join(PRECISIONS)}; may be repeated. Default: those that suit the device.",
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
    help="text, image or both. Default: both.",
)
@click.option(
    "--image-size",
    type=click.IntRange(28, 8192),
    default=448,
    show_default=True,
    help="Width and height of the pictures in pixels.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0, 3600),
    default=1.0,
    show_default=True,
    help="Minimum time for each measurement.",
)
@click.option(
    "--repeats",
    type=click.IntRange(1, 1000),
    default=5,
    show_default=True,
    help="Minimum number of timed calls for each measurement.",
)
@click.option(
    "--interleave",
    is_flag=True,
    help="Load all precisions at once and alternate between them, for shared machines.",
)
@click.option(
    "--random-weights",
    is_flag=True,
    help="Use random weights in the model's architecture, without a download; indexes nothing.",
)
@click.option(
    "--plot",
    metavar="FILE.png",
    shell_complete=files,
    callback=_picture,
    help="Plot the latencies; needs the extra [bench].",
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
    """Measure the speed and memory use of a model on this machine.

    The model encodes batches of texts and pictures in each precision. Times are medians of calls
    from words or pixels to vectors, after two untimed calls. Memory is that of the tensors on a
    GPU, and that of the whole process on a CPU. 'x fp32' is the speed-up over float32, 'cosine'
    the lowest cosine similarity with its vectors. On a CPU, fp16 is measured only on request.

    \b
    imgsearch bench --model builtin --batch-sizes 1,16
    imgsearch bench --model gme-qwen2-vl-2b --random-weights --device cuda --plot gme.png
    """
    options = context(library, quiet, verbose)
    if ctx.invoked_subcommand:
        return
    from imgsearch.bench.measurement import Work
    from imgsearch.bench.model_bench import measure_model
    from imgsearch.bench.plot import draw, require_matplotlib
    from imgsearch.cli.bench_tables import model_table

    if plot:
        require_matplotlib()
    work = Work(precisions, kinds, batch_sizes, image_size, seconds, repeats, interleave)
    lib = options.library(**flags)
    try:
        report = measure_model(lib, work, random_weights, lambda row: _print_row(options, row))
    finally:
        lib.close()
    click.echo(json.dumps(report.plain()) if as_json else model_table(report))
    if plot:
        draw(report, plot)
        options.say(f"Plotted: {plot}")


def _print_row(options: Context, row: Row) -> None:
    if options.verbose:
        result = row.note or f"{row.latency_ms:.1f} ms"
        options.say(f"{row.precision} {row.kind} x{row.batch}: {result}")


_batch_size = click.option(
    "--batch-size", type=click.IntRange(1, MAX_BATCH_SIZE), help="Pictures per batch."
)
_random_weights = click.option(
    "--random-weights",
    is_flag=True,
    help="Use random weights in the model's architecture, without a download; indexes nothing.",
)
_visual_tokens = click.option(
    "--visual-tokens",
    type=click.IntRange(1),
    help="Maximum number of visual tokens of a picture, for a model that has them.",
)
_megapixels = click.option(
    "--megapixels",
    type=click.FloatRange(0.1, 250),
    default=12.0,
    show_default=True,
    help="Size of the test pictures, without FOLDER.",
)


@command.command("index", short_help="Measure decoding, encoding and indexing of a folder.")
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False))
@model_options
@_batch_size
@workers_option
@_visual_tokens
@_random_weights
@_megapixels
@click.option(
    "--pictures",
    "images",
    type=click.IntRange(1, 100_000),
    default=64,
    show_default=True,
    help="Number of the test pictures, without FOLDER.",
)
@_json_option
@common
def index(
    folder: str | None,
    random_weights: bool,
    megapixels: float,
    images: int,
    as_json: bool,
    library: str | None,
    quiet: bool,
    verbose: bool,
    **flags: Any,
) -> None:
    """Measure indexing of FOLDER: decoding alone, the model alone, and end to end.

    The results depend on the pictures in FOLDER, so use a few hundred of your own; without FOLDER,
    JPEGs are made for it. They are indexed into a temporary library; yours is not touched, and
    nothing is written to FOLDER. The efficiency is the end-to-end rate divided by the rate of the
    slower half. With an NVIDIA GPU and the package nvidia-ml-py, the share of time in which the GPU
    is busy is shown, too.

    \b
    imgsearch bench index ~/Pictures/2024
    imgsearch bench index ~/Pictures/2024 --model siglip2-base --workers 2 --json
    imgsearch bench index --model clip-vit-b-32 --random-weights --pictures 500
    """
    from imgsearch.bench.index_bench import IndexWork, measure_indexing
    from imgsearch.cli.bench_tables import index_table

    ctx = context(library, quiet, verbose)
    work = IndexWork(folder or "", megapixels, images, random_weights)
    report = measure_indexing(ctx.library(**flags).settings, work, ctx.say)
    click.echo(json.dumps(report.plain()) if as_json else index_table(report))


@command.command("feed", short_help="Measure how fast pictures reach a model.")
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False))
@model_options
@_batch_size
@workers_option
@_visual_tokens
@_random_weights
@_megapixels
@click.option(
    "--format",
    "form",
    type=click.Choice(["JPEG", "PNG", "HEIF"], case_sensitive=False),
    default="JPEG",
    show_default=True,
    help="Format of the test pictures, without FOLDER.",
)
@click.option(
    "--pictures",
    "images",
    type=click.IntRange(1, 100_000),
    default=64,
    show_default=True,
    help="Pictures in each round.",
)
@click.option(
    "--rounds",
    type=click.IntRange(1, 1000),
    default=3,
    show_default=True,
    help="Timed rounds; medians are shown.",
)
@_json_option
@common
def feed(
    folder: str | None,
    random_weights: bool,
    megapixels: float,
    form: str,
    images: int,
    rounds: int,
    as_json: bool,
    library: str | None,
    quiet: bool,
    verbose: bool,
    **flags: Any,
) -> None:
    """Measure how fast pictures reach a model: indexing without its network and the catalog.

    Files of FOLDER, or test pictures, are decoded by the decoder processes, assembled into batches
    of the model's input and copied to its device, where they are dropped. The floor is what as many
    processes decode and prepare if they keep the result, without hash, metadata and measures, in
    rounds that alternate with the others.

    \b
    imgsearch bench feed --model builtin
    imgsearch bench feed --model gme-tiny --random-weights --visual-tokens 256 --workers 2
    imgsearch bench feed ~/Pictures/2024 --model siglip2-base
    """
    from imgsearch.bench.feed_bench import FeedWork, measure_feed
    from imgsearch.cli.bench_tables import feed_table

    work = FeedWork(folder or "", megapixels, form.upper(), images, rounds)
    lib = context(library, quiet, verbose).library(**flags)
    try:
        report = measure_feed(lib, work, random_weights)
    finally:
        lib.close()
    click.echo(json.dumps(report.plain()) if as_json else feed_table(report))


@command.command("search", short_help="Measure the latency and recall of searches.")
@click.option(
    "--synthetic",
    metavar="N,DIM",
    multiple=True,
    callback=_counts_and_dimensions,
    help="Use N synthetic vectors of DIM numbers instead of your library; may be repeated.",
)
@click.option(
    "--folder",
    type=click.Path(file_okay=False),
    default="",
    help="Folder to keep and reuse the indexes of --synthetic.",
)
@click.option(
    "--plot",
    metavar="FILE.svg",
    shell_complete=files,
    callback=_drawing,
    help="Plot the cost by the size of several --synthetic; needs the extra [bench].",
)
@click.option(
    "--repeats",
    type=click.IntRange(1, 10_000),
    default=50,
    show_default=True,
    help="Number of timed calls.",
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
    """Measure searches of your library: opening it, encoding a text, the index, and the total.

    Recall is the share of the ten best pictures, by exact inner products in NumPy, that the index
    finds. --synthetic builds an index and also measures opening it in a new process, filtered
    searches, FAISS's own search of the same lists, and searches while another process keeps a core
    busy.

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
        results = (measure_synthetic(lib, *each, repeats, folder) for each in synthetic)
        reports = []
        for report in results if synthetic else [measure_search(lib, repeats)]:
            click.echo(json.dumps(report.plain()) if as_json else search_table(report) + "\n")
            reports.append(report)
    finally:
        lib.close()
    if plot:
        draw_growth(reports, plot)
