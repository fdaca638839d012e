"""Text that is safe to print on a terminal."""

from __future__ import annotations

import sys
import unicodedata

import click

_LINES = "\n"
_JOINERS = "\u200c\u200d"  # used in Persian words and family emoji


def plain(text: str, keep: str = "") -> str:
    """Replace characters that a terminal would interpret by visible escapes.

    Newlines, escape sequences and bidirectional overrides in a file name cannot forge output.
    Other bytes that are not UTF-8 are unchanged.

    Parameters
    ----------
    keep : str
        Characters to leave unchanged: "\\n" for a message of several lines.
    """
    return "".join(char if char in keep else _shown(char) for char in text)


def visible(text: str) -> str:
    """A value for stdout: made `plain` for a terminal, unchanged for a pipe."""
    return plain(text) if sys.stdout.isatty() else text


def _shown(char: str) -> str:
    if "\udc80" <= char <= "\udc9f":  # old terminals treat such a byte as a control character
        return f"\\x{ord(char) - 0xDC00:02x}"
    escaped_byte = "\udca0" <= char <= "\udcff"
    interpreted = unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    if escaped_byte or char in _JOINERS or not interpreted:
        return char
    return char.encode("unicode_escape").decode()


def columns(text: str) -> int:
    """Width of a text in terminal columns: East Asian characters take two, accents none."""
    return sum(map(_columns_of, text))


def _columns_of(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def cut(text: str, room: int) -> str:
    """Shorten a text to at most `room` columns by cutting its middle; keeps more of the end."""
    if columns(text) <= room:
        return text
    head = _fitting(text, (room - 1) // 3)
    tail = _fitting(text[::-1], room - 1 - columns(head))[::-1]
    return f"{head}\N{HORIZONTAL ELLIPSIS}{tail}"


def _fitting(text: str, room: int) -> str:
    for length, char in enumerate(text):
        room -= _columns_of(char)
        if room < 0:
            return text[:length]
    return text


def count_of(number: int, noun: str) -> str:
    """ "1 picture", "2 pictures"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def size_of(number: int) -> str:
    """ "1.5 GB", "32.5 MB", of a number of bytes."""
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.1f} MB"


def complain(message: str, hint: str = "") -> None:
    """Print an error and a hint on stderr."""
    click.echo(f"imgsearch: {plain(message, keep=_LINES)}", err=True)
    if hint:
        click.echo(f"  {plain(hint, keep=_LINES)}", err=True)
