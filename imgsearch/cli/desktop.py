"""Opens pictures in the desktop's viewer."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from imgsearch.cli.group import Context
from imgsearch.cli.terminal import complain

if TYPE_CHECKING:
    from imgsearch.searching.hits import Hit

MAX_OPEN = 10
"""Each picture opens a window."""


def open_pictures(ctx: Context, hits: Sequence[Hit]) -> int:
    """Open the first hits in the desktop's viewer and return the exit status."""
    if not hits:
        return 0
    if not _has_desktop():
        complain("--open needs a desktop, but none is running")
        return 1
    paths = [hit.image.file.absolute for hit in hits[:MAX_OPEN]]
    failed = [path for path in paths if not _open(path)]
    for path in failed:
        complain(f"cannot open {path}")
    if len(hits) > MAX_OPEN:
        ctx.say(f"Opened the first {MAX_OPEN} of {len(hits)} pictures.")
    return int(bool(failed))


def _open(path: str) -> bool:
    if not os.path.isfile(path):
        return False
    with _stdout_to_null():
        return click.launch(path) == 0


def _has_desktop() -> bool:
    """False on Linux without a desktop, where the opener would start a text browser."""
    if not sys.platform.startswith(("linux", "freebsd")):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


@contextmanager
def _stdout_to_null() -> Iterator[None]:
    """A viewer outlives this process: it must not write to stdout or keep its pipe open."""
    sys.stdout.flush()
    saved, null = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 1)
        yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)
        os.close(null)
