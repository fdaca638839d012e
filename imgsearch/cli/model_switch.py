"""imgsearch models switch"""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import chain
from typing import Any

import click

from imgsearch.cli import completion
from imgsearch.cli.group import Context, common, context, workers_option
from imgsearch.cli.index import print_outcome, run_with_progress
from imgsearch.cli.terminal import plain


@click.command("switch", short_help="Encode all pictures with a model, then search with it.")
@click.argument("name", shell_complete=completion.models)
@click.option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:N or mps.")
@click.option(
    "--batch-size",
    type=click.IntRange(0, 4096),
    help="Pictures per model call. Default: 0, as many as fit in the free memory.",
)
@workers_option
@click.option(
    "--background",
    is_flag=True,
    help="Return at once; the encoding continues after the terminal is closed.",
)
@common
def command(
    name: str,
    background: bool,
    library: str | None,
    quiet: bool,
    verbose: bool,
    **flags: Any,
) -> int:
    """Encode all pictures of the library with the model NAME, and then search with it.

    Searches continue with the present model until the last picture is encoded; then they switch in
    one step. Stop with Ctrl-C at any time, and run the command again to continue; encoded pictures
    are kept. The vectors of the present model stay in the library, so switching back encodes only
    pictures added since; 'imgsearch models forget' deletes them.

    With --background, 'imgsearch status' shows how many pictures are encoded, and messages go to a
    file whose path is printed.

    \b
    imgsearch models switch siglip2-base
    imgsearch models switch siglip2-base --background
    imgsearch models switch builtin
    """
    from imgsearch.indexing.plan import IndexRequest

    ctx = context(library, quiet, verbose)
    if background:
        _start(ctx, name, flags)
        return 0
    with ctx.library(**flags, model=name) as lib:
        before = lib.catalog.default_space()
        report, status = run_with_progress(ctx, lib.index, IndexRequest())
        print_outcome(ctx, lib, report)
        now = lib.catalog.default_space()
        assert now is not None
        done = now.model == lib.model
        if report.interrupted:
            ctx.say(f"To continue: imgsearch models switch {plain(name)}")
        elif not done:
            ctx.say("'imgsearch index' without --model brings searches up to date meanwhile.")
        elif before == now:
            ctx.say(f"Searches use {plain(now.model)}, as before.")
        elif before is not None and before.model != now.model:
            old = plain(before.model)
            ctx.say(f"To delete the vectors of {old}: imgsearch models forget {old}")
        if done:
            _warn_of_setting(ctx, lib.model)
    return status or int(not done)


def _start(ctx: Context, name: str, flags: dict[str, Any]) -> None:
    """Run the same command without --background, in a process that outlives this one."""
    import platformdirs

    with ctx.library(**flags, model=name) as lib:
        lib.models.revision(name)  # raises an error here rather than in the log
        folder, uuid = lib.catalog.folder, lib.catalog.uuid
    options = {**ctx.flags, **flags, "library": folder}
    given = [[f"--{key.replace('_', '-')}", str(each)] for key, each in options.items() if each]
    command_line = ["models", "switch", name, *chain(*given)]
    states = platformdirs.user_state_dir("imgsearch", appauthor=False, ensure_exists=True)
    log = os.path.join(states, f"switch-{uuid}.log")
    with open(log, "wb") as file:
        process = subprocess.Popen(  # noqa: S603 - our own program, and no shell
            [sys.executable, "-m", "imgsearch", *command_line],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    ctx.say(f"Process {process.pid} encodes the library with {plain(name)}; its messages: {log}")
    ctx.say(f"If it is stopped, continue: imgsearch models switch {plain(name)}")


def _warn_of_setting(ctx: Context, model: str) -> None:
    """Warn if a setting names another model, which overrides the library's own."""
    from imgsearch.encoders.registry import canonical

    setting = ctx.settings().model
    if setting and canonical(setting) != model:
        ctx.say(
            f"Your settings still name {plain(setting)} for all libraries: remove `model` from the"
            " configuration file, or IMGSEARCH_MODEL from the environment."
        )
