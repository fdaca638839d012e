"""imgsearch index"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from imgsearch.cli.group import Context, common, context, index_option, model_options
from imgsearch.cli.terminal import count_of, plain

if TYPE_CHECKING:
    from imgsearch.library import Library
    from imgsearch.records import IngestReport, Progress, TextReport

COUNTS = ("scanned", "added", "updated", "moved", "unchanged", "removed", "skipped")
GONE_FOR_GOOD = (
    "  If pictures are gone for good: 'imgsearch roots --forget PATH' takes a whole folder out; "
    "'imgsearch index --prune' accepts that a folder is empty or that a disk is no longer there."
)


@click.command("index", short_help="Make pictures searchable, or bring them up to date.")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@model_options
@index_option
@click.option(
    "--batch-size",
    type=click.IntRange(0, 4096),
    help="Pictures per call of the model. 0, the default: as many as fit in the free memory.",
)
@click.option("--workers", type=click.IntRange(1, 256), help="Decoder processes.")
@click.option(
    "--document-instruction",
    metavar="TEXT",
    help="What the model is told about pictures, if it takes instructions.",
)
@click.option(
    "--dimension",
    type=click.IntRange(1),
    help="Length of vectors, if the model was trained to have its own cut.",
)
@click.option("--exclude", multiple=True, metavar="GLOB", help="Leave out; may be repeated.")
@click.option("--no-exclude", is_flag=True, help="Forget the globs of earlier runs.")
@click.option("--hidden/--no-hidden", default=None, help="Take in hidden files and folders.")
@click.option(
    "--prune",
    is_flag=True,
    help="Accept that pictures are gone even where a disk looks unmounted or a folder is empty.",
)
@click.option(
    "--ocr/--no-ocr",
    default=None,
    help="Read the text in pictures, too, in this run and in later ones.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object on stdout.")
@common
def command(
    paths: tuple[str, ...],
    exclude: tuple[str, ...],
    no_exclude: bool,
    hidden: bool | None,
    prune: bool,
    ocr: bool | None,
    dry_run: bool,
    as_json: bool,
    library: str | None,
    quiet: bool,
    verbose: bool,
    **flags: Any,
) -> int:
    """Make the pictures below each PATH searchable, or bring them up to date.

    Only new and changed files are read. Files that are gone leave the library, but not when
    their disk is unmounted. Without PATH, all folders of the library are brought up to date.
    Nothing below PATH is ever written. Stop with Ctrl-C at any time; run it again to go on.

    Another --model, --document-instruction or --dimension than the library has means that all
    pictures are encoded again, beside the vectors that are there. The library remembers them:
    they need not be repeated. 'imgsearch models' tells which model takes them.

    With --ocr, 'imgsearch search' finds pictures by words that are written in them. They are read
    after the pictures themselves were indexed, which takes a core about half a second each.

    \b
    imgsearch index ~/Pictures
    imgsearch index --ocr
    imgsearch index /mnt/nas/photos --exclude 'Thumbnails/' --workers 4
    """
    from imgsearch.indexing.plan import IndexRequest

    ctx = context(library, quiet, verbose)
    request = IndexRequest(
        paths, () if no_exclude and not exclude else (exclude or None), hidden, prune, ocr
    )
    lib = ctx.library(**flags)
    try:
        if dry_run:
            report, status = lib.preview(request), 0
        else:
            report, status = _index(ctx, lib, request)
        for note in report.notes:
            click.echo(f"imgsearch: {plain(note)}", err=True)
        if report.notes and not prune:
            ctx.say(GONE_FOR_GOOD)
        _tell(ctx, lib, report, as_json, dry_run)
        if ctx.verbose:
            ctx.say(_memory(lib))
    finally:
        lib.close()
    return status or _visited(report)


def _index(ctx: Context, lib: Library, request: Any) -> tuple[IngestReport, int]:
    with _Bar(ctx) as bar, _stopping(ctx) as stop:
        report = lib.index(request, bar.show, lambda: bool(stop))
    return report, 128 + stop[0] if stop else 0


def _visited(report: IngestReport) -> int:
    """A run that could look into no folder at all has failed."""
    return 1 if report.notes and not report.scanned else 0


@contextmanager
def _stopping(ctx: Context) -> Iterator[list[int]]:
    """The list gets the signal's number when the user asks to stop; a second one stops at once."""
    asked: list[int] = []

    def on_signal(number: int, frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        ctx.say("\nStopping after this batch; what is done is kept. Once more to stop at once.")

    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(each, on_signal) for each in signals]
    try:
        yield asked
    finally:
        for each, handler in zip(signals, before, strict=True):
            signal.signal(each, handler)


class _Bar:
    """Progress on stderr: how many files were looked at, then how many are encoded."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._stage = ""
        self._bar: Any = None

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, progress: Progress) -> None:
        """Draw what is done; called once per batch."""
        if self._ctx.quiet:
            return
        if progress.stage != self._stage:
            self._start(progress)
        self._bar.update(progress.done - self._bar.n)

    def _start(self, progress: Progress) -> None:
        from tqdm import tqdm

        self.__exit__()
        self._stage = progress.stage
        words = {
            "scan": "Looking", "digest": "Comparing", "encode": "Encoding", "read": "Reading",
        }  # fmt: skip
        self._bar = tqdm(
            desc=words[progress.stage],
            total=progress.total,
            unit=" images" if progress.stage in ("encode", "read") else " files",
            leave=progress.stage in ("encode", "read"),
            dynamic_ncols=True,
        )


def _tell(ctx: Context, lib: Library, report: IngestReport, as_json: bool, dry_run: bool) -> None:
    if as_json:
        found = {name: getattr(report, name) for name in COUNTS}
        rate = report.encoded / report.seconds if report.seconds else 0.0
        found |= {
            "seconds": round(report.seconds, 3),
            "images_per_second": round(rate, 3),
            "library": lib.settings.library,
            "model": lib.model,
            "interrupted": report.interrupted,
            "dry_run": dry_run,
            "memory": lib.memory(),
            "texts": asdict(report.texts) if report.texts else None,
        }
        click.echo(json.dumps(found))
    elif not ctx.quiet:
        click.echo(_sentence(report, dry_run))
        if report.texts:
            click.echo(_of_texts(report.texts))
        if report.interrupted:
            click.echo("Interrupted: everything counted above is kept. Run it again to go on.")
        elif report.skipped:
            click.echo("To see which files were skipped, and why: imgsearch skipped")


def _of_texts(texts: TextReport) -> str:
    rate = f" in {texts.seconds:.1f} s" if texts.read else ""
    words = f"Read {count_of(texts.read, 'picture')}{rate}: {texts.with_text} with text"
    words += f", {texts.failed} failed ('imgsearch skipped --texts')" if texts.failed else ""
    return words + (f", {texts.put_off} put off to the next run." if texts.put_off else ".")


def _memory(lib: Library) -> str:
    used = lib.memory()
    words = f"Memory: {used['resident_peak'] / 2**20:.0f} MiB at the peak of this process"
    allocated, peak = used["device_allocated"], used["device_peak"]
    if allocated is not None and peak is not None:
        words += f"; on the GPU {allocated / 2**20:.0f} MiB now, {peak / 2**20:.0f} at the peak"
    return words + "."


def _sentence(report: IngestReport, dry_run: bool) -> str:
    counts = ", ".join(
        f"{getattr(report, name)} {name}" for name in COUNTS[1:] if getattr(report, name)
    )
    verb = "Would index" if dry_run else "Indexed"
    rate = f", {report.encoded / report.seconds:.1f} images/s" if report.encoded else ""
    files = count_of(report.scanned, "file")
    return f"{verb} {files} in {report.seconds:.1f} s{rate}: {counts or 'no pictures'}."
