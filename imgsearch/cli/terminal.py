"""Text that is safe to show on a terminal."""

from __future__ import annotations

import unicodedata

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


def count_of(number: int, noun: str) -> str:
    """ "1 picture", "2 pictures"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
