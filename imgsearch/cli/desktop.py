"""Pictures in the viewer of the user's desktop."""

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

MOST = 10
"""Each picture opens a window: nobody wants a hundred of them."""


def open_pictures(ctx: Context, hits: Sequence[Hit]) -> int:
    """Open the first hits in the desktop's viewer; the exit status."""
    if not hits:
        return 0
    if not _has_desktop():
        complain("--open needs a desktop, and there is none here")
        return 1
    paths = [hit.image.file.absolute for hit in hits[:MOST]]
    failed = [path for path in paths if not _open(path)]
    for path in failed:
        complain(f"{path} could not be opened")
    if len(hits) > MOST:
        ctx.say(f"Opened the first {MOST} of {len(hits)} pictures.")
    return int(bool(failed))


def _open(path: str) -> bool:
    if not os.path.isfile(path):
        return False
    with _stdout_kept_clean():
        return click.launch(path) == 0


def _has_desktop() -> bool:
    """On Linux the opener would start a browser for terminals where there is no desktop."""
    if not sys.platform.startswith(("linux", "freebsd")):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


@contextmanager
def _stdout_kept_clean() -> Iterator[None]:
    """A viewer outlives us: it must not write among the results, or hold their pipe open."""
    sys.stdout.flush()
    kept, null = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(null)
