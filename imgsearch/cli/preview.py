"""Small pictures between the lines of the table, in terminals that can show them.

textual-image asks the terminal itself what it can do: kitty's graphics protocol or Sixel, which
iTerm2, WezTerm, foot, Konsole, xterm and Windows Terminal know. It asks while it is imported.
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

SIDE = 320
ROWS = 8
"""How large: pixels that are sent at most, and lines of the terminal."""


def show(ctx: Context, lib: Library, hits: Sequence[Hit]) -> bool:
    """Print the table with a small picture under each line; False if that cannot be done here.

    Raises
    ------
    MissingExtra
        The package that talks to terminals is not installed.
    """
    drawn = _drawn()
    if drawn is None:
        ctx.say("No previews: this is no terminal that shows pictures (kitty's protocol, Sixel).")
        return False
    from imgsearch.cli.render import table_line, terminal_width
    from imgsearch.records import Thumbnail

    small = lib.thumbnails(hits, SIDE)
    for hit in hits:
        sys.stdout.write(table_line(hit, terminal_width()) + "\n")
        found = small[hit.image.id]
        if isinstance(found, Thumbnail):
            drawn(found.data)
        else:
            sys.stdout.write(f"      ({found.reason})\n")
        sys.stdout.flush()
    return True


def _drawn() -> Any:
    """What draws a JPEG on the terminal; None where the terminal cannot."""
    try:
        import textual_image  # noqa: F401
        from rich.console import Console
    except ImportError:
        raise MissingExtra("--preview", "preview") from None
    if not (sys.stdin and sys.stdin.isatty() and sys.stdout.isatty()):
        return None  # it asks on stdout and reads the answer on stdin
    try:
        from textual_image import renderable
    except Exception:  # a terminal that answers nothing it understands
        return None
    if renderable.Image not in (renderable.SixelImage, renderable.TGPImage):
        return None
    console = Console(file=sys.stdout, force_terminal=True)

    def draw(jpeg: bytes) -> None:
        console.print(renderable.Image(io.BytesIO(jpeg), height=ROWS), end="")

    return draw
