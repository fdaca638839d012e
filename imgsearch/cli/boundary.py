"""Outermost error handling: a message and a hint on stderr, and an exit status."""

from __future__ import annotations

import errno
import gc
import io
import os
import sys
from contextlib import suppress

import click

from imgsearch.cli.group import cli
from imgsearch.cli.terminal import complain, plain
from imgsearch.errors import ImgSearchError, TooManyFiles, is_too_many_files

SUCCESS, FAILURE, INTERRUPTED = 0, 1, 130
FREE_SPACE = "Free some disk space and run the command again; committed pictures are kept."


def run(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 success, 1 error, 2 usage, 130 or 143 interrupted."""
    # Modules and rows are never garbage; scanning them takes a tenth of a short run.
    gc.set_threshold(50_000, 20, 50)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the parent process
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        # Print names that are not UTF-8 as their original bytes.
        stream.reconfigure(encoding="utf-8", errors="surrogateescape")  # type: ignore[union-attr]
    sys.exit(_run(arguments))


def _run(arguments: list[str] | None) -> int:
    try:
        status = cli.main(arguments, prog_name="imgsearch", standalone_mode=False)
        sys.stdout.flush()
        return int(status or SUCCESS)
    except ImgSearchError as error:
        complain(str(error), error.hint)
        return FAILURE
    except click.ClickException as error:
        _show(error)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        complain("interrupted")
        return INTERRUPTED
    except (BrokenPipeError, SystemExit):
        # The reader (head, less) has closed the pipe, which click turns into an exit.
        _detach_stdout()
        return SUCCESS
    except OSError as error:
        _complain_of_system(error)
        _detach_stdout()
        return FAILURE


def _complain_of_system(error: OSError) -> None:
    if is_too_many_files(error):
        complain(str(TooManyFiles()), TooManyFiles().hint)
        return
    place = f": {error.filename}" if error.filename else ""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    complain(f"operating system error: {error.strerror or error}{place}", full * FREE_SPACE)


def _detach_stdout() -> None:
    """Keep Python from flushing stdout again, and failing, at exit."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _show(error: click.ClickException) -> None:
    """Print an error of usage on stderr; it may quote a name that the shell has expanded."""
    shown = io.StringIO()
    error.show(shown)
    click.echo(plain(shown.getvalue(), keep="\n"), err=True, nl=False)
