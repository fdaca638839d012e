"""imgsearch watch"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
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
    workers_option,
)
from imgsearch.cli.index import print_outcome, run_with_progress
from imgsearch.cli.terminal import complain
from imgsearch.errors import ImgSearchError, SourceError

if TYPE_CHECKING:
    from imgsearch.indexing.watch import Watch
    from imgsearch.records import IngestReport, RootRecord


@click.command("watch", short_help="Keep the index up to date while pictures change.")
@click.argument("paths", nargs=-1, metavar="[PATH]...", shell_complete=folders)
@model_options
@index_option
@workers_option
@click.option(
    "--settle",
    type=click.FloatRange(0.1, 3600),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Wait until a folder has not changed for this long.",
)
@click.option(
    "--poll",
    type=click.FloatRange(1, 86400),
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="Interval between scans of folders without events, such as network disks.",
)
@click.option("--json", "as_json", is_flag=True, help="Print each report as a JSON object.")
@common
def command(
    paths: tuple[str, ...],
    settle: float,
    poll: float,
    as_json: bool,
    library: str | None,
    quiet: bool,
    verbose: bool,
    **flags: Any,
) -> None:
    """Index the pictures below each PATH, and again whenever they change, until Ctrl-C.

    Without PATH, all folders of the library are watched, also those that join it later.

    A changed folder is indexed when nothing in it has changed for --settle seconds, as by
    'imgsearch index FOLDER', with the options of earlier runs. Network disks report no changes of
    other machines: they are scanned every --poll seconds. An unmounted disk loses no pictures, and
    is scanned when it is back.

    The model is loaded for each batch of changes, and takes no memory in between.

    \b
    imgsearch watch
    imgsearch watch ~/Pictures --settle 10
    """
    from imgsearch.indexing.watch import Watch

    ctx = context(library, quiet, verbose)
    with _stop_event(ctx) as stop:
        if paths and _index(ctx, paths, flags, as_json):
            return
        if not _roots(ctx, paths):
            raise SourceError(
                "this library has no folders yet", "Give one: imgsearch watch FOLDER-OF-PICTURES"
            )
        watch = Watch(lambda: _roots(ctx, paths), settle, poll, ctx.settings().library, ctx.say)
        ctx.say("Watching for changes. Stop with Ctrl-C.")
        _follow(ctx, watch, stop, lambda folders: _index(ctx, folders, flags, as_json))


def _follow(
    ctx: Context,
    watch: Watch,
    stop: threading.Event,
    index: Callable[[Sequence[str]], bool],
) -> None:
    """Index changes. A failure is reported once, and the work is tried again later."""
    reported = ""
    for changed in watch.batches(stop):
        try:
            if index(changed):
                stop.set()
            reported = ""
        except (ImgSearchError, OSError) as error:
            watch.again(changed)
            if str(error) != reported:
                reported = str(error)
                complain(reported, getattr(error, "hint", ""))


def _index(ctx: Context, folders: Sequence[str], flags: dict[str, Any], as_json: bool) -> bool:
    """Index these folders; True if the user has stopped the run.

    A run without changes is reported only with -v.
    """
    from imgsearch.indexing.plan import IndexRequest

    with closing(ctx.library(**flags)) as lib:
        report, status = run_with_progress(ctx, lib.index, IndexRequest(folders))
        if ctx.verbose or _has_changes(report):
            print_outcome(ctx, lib, report, as_json)
            sys.stdout.flush()  # a log or a pipe is read while this command goes on
    return bool(status)


def _has_changes(report: IngestReport) -> bool:
    counts = ("added", "updated", "moved", "removed", "skipped")
    return any(getattr(report, name) for name in counts) or bool(report.notes)


def _roots(ctx: Context, paths: Sequence[str]) -> list[RootRecord]:
    """The folders of the library that contain one of the paths; without paths, all folders."""
    with closing(ctx.overview()) as overview:
        roots = overview.roots(counted=False)
    real = [os.path.realpath(os.path.expanduser(path)) for path in paths]
    return [
        root
        for root in roots
        if not paths or any(path == root.path or root.takes_in(path) for path in real)
    ]


@contextmanager
def _stop_event(ctx: Context) -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set while nothing is indexed."""
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(each, on_signal) for each in signals]
    try:
        yield stop
    finally:
        for each, handler in zip(signals, before, strict=True):
            signal.signal(each, handler)
