"""imgsearch daemon"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from imgsearch.cli.group import Context, common, context, model_options
from imgsearch.cli.terminal import plain
from imgsearch.errors import ImgSearchError, QueryError

if TYPE_CHECKING:
    from imgsearch.daemon.listener import Answer, Listener
    from imgsearch.settings import Settings

_POLL_SECONDS = 0.5


@click.command("daemon", short_help="Keep a library loaded for fast searches.")
@click.option("--stop", is_flag=True, help="Stop the daemon of this library.")
@click.option(
    "--status", is_flag=True, help="Report whether a daemon is running; exit status 1 if not."
)
@click.option("--json", "as_json", is_flag=True, help="With --status: print a JSON object.")
@click.option(
    "--idle-minutes",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="Stop after N minutes without a search. Default: never.",
)
@click.option("--watch", is_flag=True, help="Index changes in the folders of the library.")
@model_options
@common
def command(
    stop: bool,
    status: bool,
    as_json: bool,
    idle_minutes: float | None,
    watch: bool,
    library: str | None,
    quiet: bool,
    verbose: bool,
    **flags: Any,
) -> int:
    """Keep the library open and its model loaded, until stopped by Ctrl-C or --stop.

    'imgsearch search' and 'imgsearch similar' use this process if the library and the settings
    are the same; results are the same as without it. The daemon listens on a socket in the library
    folder that only you can access, not on the network. It notices newly indexed pictures.

    With --watch, the index follows pictures that are added, changed or deleted, as with 'imgsearch
    watch'.

    \b
    imgsearch daemon --idle-minutes 60
    imgsearch daemon --watch
    imgsearch search a dog on the beach
    imgsearch daemon --stop
    """
    from imgsearch.daemon import address

    ctx = context(library, quiet, verbose)
    settings = ctx.settings(**flags)
    if not address.have_sockets():
        raise address.NoSockets
    if stop:
        return _stop(ctx, settings)
    if status:
        return _status(settings, as_json)
    _run(ctx, settings, None if idle_minutes is None else 60 * idle_minutes, watch)
    return 0


def _stop(ctx: Context, settings: Settings) -> int:
    from imgsearch.daemon import listener

    pid = listener.stop(settings.library)
    if pid is None:
        raise ImgSearchError(
            f"no daemon is running for the library in {settings.library}",
            "Start one: imgsearch daemon",
        )
    ctx.say(f"The daemon, process {pid}, has stopped.")
    return 0


def _status(settings: Settings, as_json: bool) -> int:
    from imgsearch.daemon import listener

    status = listener.running(settings.library)
    if as_json:
        click.echo(json.dumps({"running": status is not None, **(status or {})}))
    elif status is None:
        click.echo(f"No daemon is running for the library in {plain(settings.library)}.")
    else:
        click.echo(_summary(status))
    return int(status is None)


def _summary(status: Answer) -> str:
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(status["since"]))
    return (
        f"Process {status['pid']} has had the library open since {since}"
        f" and has answered {status['answered']} requests."
    )


def _run(ctx: Context, settings: Settings, idle_seconds: float | None, watch: bool) -> None:
    from imgsearch.daemon.listener import listen
    from imgsearch.library import Library
    from imgsearch.serving.resident import Resident

    notes: list[str] = []
    stop = threading.Event()
    resident = Resident(lambda: Library(settings, notes.append))
    try:
        with _stop_on_sigterm(stop):
            resident.submit(
                lambda library: library.catalog.uuid
            ).result()  # fail now if there is no library
            listener = listen(resident, settings, notes, stop.set)
            try:
                ctx.say(f"Loading the model of {settings.library}.")
                _warm(ctx, resident.warm().result)
                ctx.say("Ready for searches of this library. Stop with Ctrl-C.")
                with _following(ctx, settings) if watch else nullcontext():
                    _wait(listener, stop, idle_seconds)
            finally:
                listener.close()
    finally:
        resident.close()
    ctx.say("The daemon has stopped.")


@contextmanager
def _following(ctx: Context, settings: Settings) -> Iterator[None]:
    """Index what changes in the folders of the library."""
    from imgsearch.serving.follower import Follower, IndexRuns
    from imgsearch.serving.indexer_process import STOP_SECONDS

    runs = IndexRuns(settings)
    follower = Follower(settings, runs.index, ctx.say)
    try:
        yield
    finally:
        runs.close(STOP_SECONDS)
        follower.close(STOP_SECONDS)


def _warm(ctx: Context, result: Any) -> None:
    """Warn only, because an empty library may receive pictures later."""
    try:
        result()
    except QueryError as error:
        ctx.say(f"Warning: {error}. {error.hint}")


def _wait(listener: Listener, stop: threading.Event, idle_seconds: float | None) -> None:
    while not stop.wait(_POLL_SECONDS):
        if not os.path.exists(listener.path):
            return  # the library folder was removed, so no client can connect
        if idle_seconds is not None and listener.idle_seconds > idle_seconds:
            return


@contextmanager
def _stop_on_sigterm(stop: threading.Event) -> Iterator[None]:
    """Let SIGTERM stop the daemon like --stop does; Ctrl-C interrupts it like any command."""

    def end(number: int, frame: FrameType | None) -> None:
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
