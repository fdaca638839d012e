"""Where errors end: a sentence and its mend on stderr, and an exit status."""

from __future__ import annotations

import errno
import gc
import os
import sys
from contextlib import suppress

import click

from imgsearch.cli.group import cli
from imgsearch.cli.terminal import complain
from imgsearch.errors import ImgSearchError

DONE, FAILED, INTERRUPTED = 0, 1, 130
FREE_SPACE = "Free some space on the disk and run the command again; what was committed is kept."


def run(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 1 error, 2 usage, 130 interrupted."""
    # Modules and rows are no garbage: looking for some among them takes a tenth of a short run.
    gc.set_threshold(50_000, 20, 50)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        # A name that is not UTF-8 is printed as the bytes that it has.
        stream.reconfigure(encoding="utf-8", errors="surrogateescape")  # type: ignore[union-attr]
    sys.exit(_run(arguments))


def _run(arguments: list[str] | None) -> int:
    try:
        status = cli.main(arguments, prog_name="imgsearch", standalone_mode=False)
        sys.stdout.flush()
        return int(status or DONE)
    except ImgSearchError as error:
        complain(str(error), error.hint)
        return FAILED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        complain("interrupted")
        return INTERRUPTED
    except (BrokenPipeError, SystemExit):
        # The reader (head, less) has seen enough; click takes that for a reason to exit.
        _let_go_of_stdout()
        return DONE
    except OSError as error:
        place = f": {error.filename}" if error.filename else ""
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        complain(f"the operating system says: {error.strerror or error}{place}", full * FREE_SPACE)
        _let_go_of_stdout()
        return FAILED


def _let_go_of_stdout() -> None:
    """Keep Python from trying once more, and complaining, when it ends."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
