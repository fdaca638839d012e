"""Colours of a table on a terminal, and links to its pictures."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import click

if TYPE_CHECKING:
    from imgsearch.searching.hits import Hit

CHOICES = ("auto", "always", "never")
PLAIN_TERMINALS = ("", "dumb", "linux")
"""Values of $TERM of terminals without colours or links. The Linux console has no links."""
_COLORS = {"strong": "green", "possible": "yellow"}
"""Of hits by meaning, by `Hit.fit`."""


def is_colored(choice: str) -> bool:
    """True if stdout gets colours and links, for a choice of --color.

    auto stands for a terminal that has them, unless NO_COLOR is set and not empty. Windows Terminal
    sets WT_SESSION and no TERM; the older console of Windows sets neither.
    """
    if choice != "auto":
        return choice == "always"
    if os.environ.get("NO_COLOR") or not sys.stdout.isatty():
        return False
    return bool(os.environ.get("WT_SESSION")) or os.environ.get("TERM", "") not in PLAIN_TERMINALS


def painted(hit: Hit, start: str, path: str, end: str) -> str:
    """A line of the table: rank and strength in a colour, the path as a link, the rest dim."""
    return (
        click.style(start, fg=_color(hit))
        + _link(hit.image.file.absolute, path)
        + click.style(end, dim=True)
    )


def _color(hit: Hit) -> str | None:
    return "cyan" if hit.named else _COLORS.get(hit.fit)


def _link(path: str, text: str) -> str:
    """A text that opens a file, by OSC 8.

    The host is part of the address, so that a terminal connected to another machine does not open
    a file of the same name on its own. Windows would take it for a network share.
    """
    host = "" if os.name == "nt" else quote(socket.gethostname())
    address = f"file://{host}{Path(path).as_uri().removeprefix('file://')}"
    return f"\x1b]8;;{address}\x1b\\{text}\x1b]8;;\x1b\\"
