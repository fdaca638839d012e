"""imgsearch index"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from imgsearch.cli.completion import folders
from imgsearch.cli.group import (
    Context,
    common,
    context,
    index_option,
    model_options,
    without_password,
    workers_option,
)
from imgsearch.cli.terminal import count_of, plain
from imgsearch.settings import OCR_MODES

if TYPE_CHECKING:
    from imgsearch.library import Library
    from imgsearch.records import IngestReport, MeasureReport, Progress, TextReport

COUNTS = ("scanned", "added", "updated", "moved", "unchanged", "removed", "skipped")
GONE_FOR_GOOD = (
    "  If pictures are gone for good: 'imgsearch roots --forget PATH' removes a whole folder "
    "from the library; 'imgsearch index --prune' accepts an empty folder or a missing disk."
)


class _IndexCommand(click.Command):
    """`index`, where --ocr may stand without a mode, and a folder may follow it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Give each --ocr without a mode the mode "on"."""
        end = args.index("--") if "--" in args else len(args)
        for place in reversed(range(end)):
            if args[place] == "--ocr":
                named = place + 1 < end and args[place + 1] in OCR_MODES
                args[place] = f"--ocr={args.pop(place + 1) if named else 'on'}"
        return super().parse_args(ctx, args)


@click.command("index", cls=_IndexCommand, short_help="Index pictures, or update the index.")
@click.argument("paths", nargs=-1, metavar="[PATH]...", shell_complete=folders)
@model_options
@index_option
@click.option(
    "--batch-size",
    type=click.IntRange(0, 4096),
    help="Pictures per model call. Default: 0, as many as fit in the free memory.",
)
@workers_option
@click.option(
    "--encoders",
    metavar="PLACE",
    callback=without_password,
    help="Where pictures are decoded and encoded: local, ray://host:10001 (a Ray cluster) or ray"
    " (the cluster of this machine).",
)
@click.option(
    "--document-instruction",
    metavar="TEXT",
    help="Instruction to the model for pictures, if it takes instructions.",
)
@click.option(
    "--dimension",
    type=click.IntRange(1),
    help="Length of the vectors, if the model was trained for shorter ones.",
)
@click.option(
    "--visual-tokens",
    type=click.IntRange(1),
    help="Maximum number of visual tokens of a picture, for a model that has them, such as gme:"
    " more is slower and sees more.",
)
@click.option(
    "--exclude",
    multiple=True,
    metavar="GLOB",
    help="Files and folders to exclude, in this run and later ones; may be repeated.",
)
@click.option("--no-exclude", is_flag=True, help="Discard the globs of earlier runs first.")
@click.option("--hidden/--no-hidden", default=None, help="Include hidden files and folders.")
@click.option(
    "--prune",
    is_flag=True,
    help="Remove missing pictures even if a disk looks unmounted or a folder is empty.",
)
@click.option(
    "--ocr",
    type=click.Choice(OCR_MODES),
    metavar="[auto|on|off]",
    help="Also read text in pictures, in this run and later ones: in all of them, or with 'auto'"
    " where text is seen at a glance.",
)
@click.option("--no-ocr", "ocr", flag_value="off", help="The same as --ocr off.")
@click.option(
    "--measure",
    is_flag=True,
    help="Also measure pictures that an older version has indexed: sharpness and so on.",
)
@click.option(
    "--verify",
    is_flag=True,
    help="Read every file, and compare its content with the library.",
)
@click.option(
    "--dry-run", is_flag=True, help="Report what would be done, with -v by name, without doing it."
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as a JSON object.")
@common
def command(
    paths: tuple[str, ...],
    exclude: tuple[str, ...],
    no_exclude: bool,
    hidden: bool | None,
    prune: bool,
    ocr: str | None,
    measure: bool,
    verify: bool,
    dry_run: bool,
    as_json: bool,
    library: str | None,
    quiet: bool,
    verbose: bool,
    **flags: Any,
) -> int:
    """Index the pictures below each PATH, or update the index.

    --exclude takes patterns as in a .gitignore file. They add up from run to run until
    --no-exclude, and each run lists those in force.

    Before the first run on a terminal, the model that suits this machine is offered ('imgsearch
    models recommend').

    Only new and changed files are read. Deleted files are removed from the library, unless their
    disk is unmounted. Without PATH, all folders of the library are updated. Nothing below PATH is
    ever written. Stop with Ctrl-C at any time; run the command again to continue.

    A different --model, --document-instruction, --dimension or --visual-tokens encodes all
    pictures again and keeps the existing vectors. The library remembers these options, so they
    need not be repeated.
    'imgsearch models' lists the models that support them.

    With --verify, files that seem unchanged are read as well, and those with other content are
    indexed again; metadata that an older version has read is also read again. A verification
    continues where it was stopped.

    New pictures are measured as they are read. With --measure, so are those that an older
    version has indexed, without encoding them again.

    With --ocr, 'imgsearch search' also finds pictures by the text in them. Texts are read after
    the pictures are indexed, at about half a second per picture on one core. With --ocr auto,
    pictures in which no text is seen at a glance are passed over; --ocr reads them later. Write a
    folder named like a mode as ./auto.

    \b
    imgsearch index ~/Pictures
    imgsearch index --ocr auto
    imgsearch index /mnt/nas/photos --exclude 'Thumbnails/' --workers 4
    """
    from imgsearch.indexing.plan import IndexRequest

    ctx = context(library, quiet, verbose)
    request = IndexRequest(
        paths, exclude, hidden, prune, ocr, verify, no_exclude=no_exclude, measure=measure
    )
    if verify and dry_run:
        raise click.UsageError("--dry-run cannot be used with --verify, which reads every file.")
    if measure and dry_run:
        raise click.UsageError("--dry-run cannot be used with --measure, which reads pictures.")
    lib = ctx.library(**flags)
    if not (as_json or dry_run) and _is_first(ctx, lib):
        from imgsearch.cli.model_offer import chosen_model

        if model := chosen_model(ctx, lib, request):
            lib = ctx.library(**(flags | {"model": model}))
    with closing(lib):
        report, status = run_with_progress(ctx, lib.preview if dry_run else lib.index, request)
        print_outcome(ctx, lib, report, as_json, dry_run, prune)
    return status or _exit_status(report)


def _is_first(ctx: Context, lib: Library) -> bool:
    """True before a first run on a terminal if no model has been chosen yet."""
    if ctx.quiet or not all(each.isatty() for each in (sys.stdin, sys.stdout, sys.stderr)):
        return False
    settings = lib.settings
    chosen = settings.model or settings.document_instruction or settings.dimension
    return not chosen and not lib.roots()


def run_with_progress(
    ctx: Context, run: Callable[..., IngestReport], request: Any
) -> tuple[IngestReport, int]:
    """The report of a run with progress bars, and its exit status if it was stopped."""
    with _Bar(ctx) as bar, _stopping(ctx) as stop:
        report = run(request, bar.show, lambda: bool(stop))
    return report, 128 + stop[0] if stop else 0


def print_outcome(
    ctx: Context,
    lib: Library,
    report: IngestReport,
    as_json: bool = False,
    dry_run: bool = False,
    prune: bool = False,
) -> None:
    """Print the report of a run on stdout, and its notes on stderr."""
    from imgsearch.indexing.ingest import KEPT_NOTE

    for root, patterns in report.exclude.items():
        ctx.say(f"Excluded from {root}: {' '.join(patterns)}  (--no-exclude discards these)")
    for remark in report.remarks:
        ctx.say(remark)
    for note in report.notes:
        click.echo(f"imgsearch: {plain(note)}", err=True)
    if any(note.endswith(KEPT_NOTE) for note in report.notes) and not prune:
        ctx.say(GONE_FOR_GOOD)
    _print_report(ctx, lib, report, as_json, dry_run)
    if ctx.verbose:
        ctx.say(_memory(lib))


def _exit_status(report: IngestReport) -> int:
    """A run that could not scan any folder has failed."""
    return 1 if report.notes and not report.scanned else 0


@contextmanager
def _stopping(ctx: Context) -> Iterator[list[int]]:
    """Yield a list that receives the number of the first stop signal; a second one interrupts."""
    stop: list[int] = []

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop:
            raise KeyboardInterrupt
        stop.append(number)
        ctx.say("\nStopping after this batch; finished work is kept. Again to stop immediately.")

    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(each, on_signal) for each in signals]
    try:
        yield stop
    finally:
        for each, handler in zip(signals, before, strict=True):
            signal.signal(each, handler)


class _Bar:
    """Progress bars on stderr, one for each stage; none if stderr is not a terminal."""

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
        """Update the bar; called once per batch."""
        if self._ctx.quiet or not sys.stderr.isatty():
            return
        if progress.stage != self._stage:
            self._start(progress)
        self._bar.update(progress.done - self._bar.n)

    def _start(self, progress: Progress) -> None:
        from tqdm import tqdm

        self.__exit__()
        self._stage = progress.stage
        words = {
            "scan": "Scanning", "digest": "Comparing", "describe": "Reading metadata",
            "encode": "Encoding", "verify": "Verifying", "read": "Reading",
            "measure": "Measuring", "glance": "Looking for text",
            "places": "Naming places",
        }  # fmt: skip
        self._bar = tqdm(
            desc=words[progress.stage],
            total=progress.total,
            unit=" images" if progress.stage in ("encode", "glance", "read") else " files",
            leave=progress.stage in ("encode", "read"),
            dynamic_ncols=True,
        )


def _print_report(
    ctx: Context, lib: Library, report: IngestReport, as_json: bool, dry_run: bool
) -> None:
    if as_json:
        entry = {name: getattr(report, name) for name in COUNTS}
        rate = report.encoded / report.seconds if report.seconds else 0.0
        entry |= {
            "seconds": round(report.seconds, 3),
            "images_per_second": round(rate, 3),
            "library": lib.settings.library,
            "model": lib.model,
            "interrupted": report.interrupted,
            "dry_run": dry_run,
            "memory": lib.memory(),
            "texts": asdict(report.texts) if report.texts else None,
            "measures": asdict(report.measures) if report.measures else None,
            "verified": report.verified,
            "differed": report.differed,
            "exclude": {root: list(each) for root, each in report.exclude.items()},
            "waiting": report.waiting,
        }
        if dry_run:
            entry["names"] = report.names
        click.echo(json.dumps(entry))
    elif not ctx.quiet:
        for what, names in report.names.items() if ctx.verbose else ():
            for name in names:
                click.echo(f"{what:<9}{plain(name)}")
        click.echo(_summary(report, dry_run))
        if report.verified:
            click.echo(_verification_summary(report))
        if report.measures:
            click.echo(_measures_summary(report.measures))
        if report.texts:
            click.echo(_texts_summary(report.texts))
        if dry_run and report.interrupted:
            click.echo("Interrupted: the counts are incomplete.")
        elif report.interrupted:
            click.echo("Interrupted: everything counted above is kept. Run it again to continue.")
        elif report.skipped and not dry_run:
            click.echo("To list the skipped files with their reasons: imgsearch skipped")


def _verification_summary(report: IngestReport) -> str:
    files = count_of(report.verified, "file")
    return f"Verified {files}: {report.differed or 'none'} had changed without a new size or time."


def _measures_summary(measures: MeasureReport) -> str:
    later = f", {measures.put_off} postponed to the next run" if measures.put_off else ""
    return f"Measured {count_of(measures.measured, 'picture')}{later}."


def _texts_summary(texts: TextReport) -> str:
    rate = f" in {texts.seconds:.1f} s" if texts.read or texts.passed_over else ""
    words = f"Read {count_of(texts.read, 'picture')}{rate}: {texts.with_text} with text"
    words += f", {texts.failed} failed ('imgsearch skipped --texts')" if texts.failed else ""
    words += f", {texts.passed_over} passed over" if texts.passed_over else ""
    return words + (f", {texts.put_off} postponed to the next run." if texts.put_off else ".")


def _memory(lib: Library) -> str:
    used = lib.memory()
    words = f"Memory: {used['resident_peak'] / 2**20:.0f} MiB peak in this process"
    allocated, peak = used["device_allocated"], used["device_peak"]
    if allocated is not None and peak is not None:
        words += f"; on the GPU {allocated / 2**20:.0f} MiB now, {peak / 2**20:.0f} MiB peak"
    return words + "."


def _summary(report: IngestReport, dry_run: bool) -> str:
    counts = ", ".join(
        f"{getattr(report, name)} {name}" for name in COUNTS[1:] if getattr(report, name)
    )
    verb = "Would index" if dry_run else "Indexed"
    rate = f", {report.encoded / report.seconds:.1f} images/s" if report.encoded else ""
    files = count_of(report.scanned, "file")
    if report.interrupted:
        files = f"{report.scanned - report.waiting} of {files}"
        files += " found so far" if report.scan_stopped else ""
    return f"{verb} {files} in {report.seconds:.1f} s{rate}: {counts or 'no pictures'}."
