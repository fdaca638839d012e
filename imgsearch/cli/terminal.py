"""Text that is safe to show on a terminal."""

from __future__ import annotations

import unicodedata

import click

_LINES = "\n"
_JOINERS = "\u200c\u200d"  # Persian words and family emoji are written with them


def plain(text: str, keep: str = "") -> str:
    """Text without characters that a terminal would act upon, each shown as an escape.

    Newlines, escape sequences and bidirectional overrides in a file name cannot forge output.
    Other bytes that are not UTF-8 stay as they are.

    Parameters
    ----------
    keep : str
        Characters that are left alone: "\\n" for a message of several lines.
    """
    return "".join(char if char in keep else _shown(char) for char in text)


def _shown(char: str) -> str:
    if "\udc80" <= char <= "\udc9f":  # such a byte is a control character to old terminals
        return f"\\x{ord(char) - 0xDC00:02x}"
    escaped_byte = "\udca0" <= char <= "\udcff"
    acted_upon = unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    if escaped_byte or char in _JOINERS or not acted_upon:
        return char
    return char.encode("unicode_escape").decode()


def columns(text: str) -> int:
    """How many columns of a terminal a text takes: East Asian letters take two, accents none."""
    return sum(map(_columns_of, text))


def _columns_of(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def cut(text: str, room: int) -> str:
    """Text of at most `room` columns, cut in the middle; more of the end is kept."""
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


def complain(message: str, hint: str = "") -> None:
    """An error on stderr, and under it how to mend it."""
    click.echo(f"imgsearch: {plain(message, keep=_LINES)}", err=True)
    if hint:
        click.echo(f"  {plain(hint, keep=_LINES)}", err=True)
