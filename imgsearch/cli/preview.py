"""Thumbnails between the lines of the table, in terminals that support them.

textual-image queries the terminal while it is imported: for kitty's graphics protocol or Sixel,
which iTerm2, WezTerm, foot, Konsole, xterm and Windows Terminal support.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from imgsearch.cli.group import Context
from imgsearch.errors import MissingExtra

if TYPE_CHECKING:
    from imgsearch.library import Library
    from imgsearch.searching.hits import Hit

SIDE_PIXELS = 320
"""Maximum size of a thumbnail in pixels."""
HEIGHT_LINES = 8
"""Height in lines of the terminal."""


def show(ctx: Context, lib: Library, hits: Sequence[Hit]) -> bool:
    """Print the table with a thumbnail below each line; returns False if the terminal cannot.

    Raises
    ------
    MissingExtra
        textual-image is not installed.
    """
    draw = _drawer()
    if draw is None:
        ctx.say(
            "No previews: this terminal cannot show pictures (needs kitty's protocol or Sixel)."
        )
        return False
    from imgsearch.cli.render import table_line, terminal_width
    from imgsearch.records import Thumbnail

    thumbnails = lib.thumbnails(hits, SIDE_PIXELS)
    for hit in hits:
        sys.stdout.write(table_line(hit, terminal_width()) + "\n")
        thumbnail = thumbnails[hit.image.id]
        if isinstance(thumbnail, Thumbnail):
            draw(thumbnail.data)
        else:
            sys.stdout.write(f"      ({thumbnail.reason})\n")
        sys.stdout.flush()
    return True


def _drawer() -> Any:
    """A function that draws a JPEG on the terminal; None if the terminal cannot show it."""
    try:
        import textual_image  # noqa: F401
        from rich.console import Console
    except ImportError:
        raise MissingExtra("--preview", "preview") from None
    if not (sys.stdin and sys.stdin.isatty() and sys.stdout.isatty()):
        return None  # textual-image writes the query to stdout and reads the answer from stdin
    try:
        from textual_image import renderable
    except Exception:  # the terminal's answer is not understood
        return None
    if renderable.Image not in (renderable.SixelImage, renderable.TGPImage):
        return None
    console = Console(file=sys.stdout, force_terminal=True)

    def draw(jpeg: bytes) -> None:
        console.print(renderable.Image(io.BytesIO(jpeg), height=HEIGHT_LINES), end="")

    return draw
