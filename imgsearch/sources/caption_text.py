"""Cleans the texts that people wrote into images."""

from __future__ import annotations

from collections.abc import Iterable

MAX_TEXT_CHARACTERS = 2000
"""Maximum length of a title or a description."""
MAX_KEYWORDS = 200
_CAMERA_WORDS = frozenset(
    ("olympus digital camera", "digital camera", "sony dsc", "dcim", "image", "photo", "default")
)
"""Texts that cameras write by default, and that people do not search for."""


def first_line(texts: Iterable[str]) -> str:
    """The first text that is not empty after cleaning; "" if there is none."""
    return next(filter(None, (clean(text) for text in texts)), "")


def unique_lines(texts: Iterable[str]) -> tuple[str, ...]:
    """The cleaned texts without empty and repeated ones, at most `MAX_KEYWORDS`."""
    return tuple(dict.fromkeys(filter(None, map(clean, texts))))[:MAX_KEYWORDS]


def clean(text: str) -> str:
    """The text as one line without control characters; "" for the default text of a camera."""
    printable = "".join(c if c.isprintable() else " " for c in text.partition("\0")[0])
    line = " ".join(printable.split())[:MAX_TEXT_CHARACTERS]
    return "" if line.lower() in _CAMERA_WORDS else line
