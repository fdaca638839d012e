"""imgsearch daemon"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from imgsearch.cli.group import Context, common, context, model_options
from imgsearch.errors import ImgSearchError, QueryError

if TYPE_CHECKING:
    from imgsearch.daemon.listener import Answer, Listener
    from imgsearch.settings import Settings

_LOOK_SECONDS = 0.5


@click.command("daemon", short_help="Keep a library open, so that searches are answered at once.")
@click.option("--stop", is_flag=True, help="End the daemon that runs for this library.")
@click.option("--status", is_flag=True, help="Tell whether one runs; exit status 1 if none does.")
@click.option("--json", "as_json", is_flag=True, help="With --status: print a JSON object.")
@click.option(
    "--idle-minutes",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="End after so many minutes without a question. Default: never.",
)
@model_options
@common
def command(
    stop: bool,
    status: bool,
    as_json: bool,
    idle_minutes: float | None,
    library: str | None,
    quiet: bool,
    verbose: bool,
    **flags: Any,
) -> int:
    """Keep the library open and its model loaded until this is ended, by Ctrl-C or --stop.

    Meanwhile 'imgsearch search' and 'imgsearch similar' for the same library, with the same
    settings, ask this process, and their answers are the same as without it. It listens on a
    socket in the library folder that only you may use, and not on the network. It notices by
    itself when pictures are indexed.

    \b
    imgsearch daemon --idle-minutes 60
    imgsearch search a dog on the beach
    imgsearch daemon --stop
    """
    from imgsearch.daemon import address
    from imgsearch.settings import load_settings

    ctx = context(library, quiet, verbose)
    settings = load_settings({**ctx.flags, **flags})
    if not address.have_sockets():
        raise address.NoSockets
    if stop:
        return _stop(ctx, settings)
    if status:
        return _status(settings, as_json)
    _run(ctx, settings, None if idle_minutes is None else 60 * idle_minutes)
    return 0


def _stop(ctx: Context, settings: Settings) -> int:
    from imgsearch.daemon import listener

    pid = listener.stop(settings.library)
    if pid is None:
        raise ImgSearchError(
            f"no daemon runs for the library in {settings.library}", "Start one: imgsearch daemon"
        )
    ctx.say(f"The daemon, process {pid}, has ended.")
    return 0


def _status(settings: Settings, as_json: bool) -> int:
    from imgsearch.daemon import listener

    found = listener.running(settings.library)
    if as_json:
        click.echo(json.dumps({"running": found is not None, **(found or {})}))
    elif found is None:
        click.echo(f"No daemon runs for the library in {settings.library}.")
    else:
        click.echo(_told(found))
    return int(found is None)


def _told(found: Answer) -> str:
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(found["since"]))
    return (
        f"Process {found['pid']} has the library open since {since},"
        f" and was asked {found['answered']} times."
    )


def _run(ctx: Context, settings: Settings, idle_seconds: float | None) -> None:
    from imgsearch.daemon.listener import listen
    from imgsearch.library import Library
    from imgsearch.serving.resident import Resident

    notes: list[str] = []
    ended = threading.Event()
    resident = Resident(lambda: Library(settings, notes.append))
    try:
        with _ended_by_signal(ended):
            resident.submit(lambda library: library.catalog.uuid).result()  # is there one?
            listener = listen(resident, settings, notes, ended.set)
            try:
                ctx.say(f"Loading the model of {settings.library}.")
                _warm(ctx, resident.warm().result)
                ctx.say("Searches of this library are answered here now. Ctrl-C ends it.")
                _wait(listener, ended, idle_seconds)
            finally:
                listener.close()
    finally:
        resident.close()
    ctx.say("The daemon has ended.")


def _warm(ctx: Context, result: Any) -> None:
    """A library without pictures may get some while the daemon runs."""
    try:
        result()
    except QueryError as error:
        ctx.say(f"Beware: {error}. {error.hint}")


def _wait(listener: Listener, ended: threading.Event, idle_seconds: float | None) -> None:
    while not ended.wait(_LOOK_SECONDS):
        if not os.path.exists(listener.path):
            return  # the library folder was removed, and nobody can ask any more
        if idle_seconds is not None and listener.idle_seconds > idle_seconds:
            return


@contextmanager
def _ended_by_signal(ended: threading.Event) -> Iterator[None]:
    """SIGTERM ends the daemon as --stop does; Ctrl-C interrupts it, as it does any command."""

    def end(number: int, frame: FrameType | None) -> None:
        ended.set()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
