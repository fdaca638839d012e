"""Cleans the texts that people wrote into images."""

from __future__ import annotations

import re
from collections.abc import Iterable

MAX_TEXT_CHARACTERS = 2000
"""Maximum length of a title or a description."""
MAX_KEYWORDS = 200
_CAMERA_WORDS = frozenset(
    ("olympus digital camera", "digital camera", "sony dsc", "dcim", "image", "photo", "default")
)
"""Texts that cameras write by default, which people do not search for."""
_BANNER = re.compile(
    r"creator: gd-jpeg|lav[cf]\d|lead technologies|ffmpeg|x264|intel\(r\) (?:jpeg|ipp)|applemark"
    r"|created (?:with|by|using) (?:the )?(?:gimp|imagej|inkscape|openjpeg|paint\.net|ulead|snagit)"
    r"|(?:optimi[sz]ed|compressed|resized|converted|encoded) (?:by|with|on|using|at) "
    r"|(?:handmade|processed|written) by |acd systems|u-?lead systems|adobe imageready|kakadu"
    r"|jasper transcoder|file source:|jpeg encoder|xv version|software:|png crushed|charset=",
    re.IGNORECASE,
)
"""The starts of texts that programs write about themselves."""


def first_line(texts: Iterable[str]) -> str:
    """The first text that is not empty after cleaning; "" if there is none."""
    return next(filter(None, (clean(text) for text in texts)), "")


def unique_lines(texts: Iterable[str]) -> tuple[str, ...]:
    """The cleaned texts without empty and repeated ones, at most `MAX_KEYWORDS`."""
    return tuple(dict.fromkeys(filter(None, map(clean, texts))))[:MAX_KEYWORDS]


def clean(text: str) -> str:
    """The text as one line without control characters; "" for what a camera or program put in."""
    printable = "".join(c if c.isprintable() else " " for c in text.partition("\0")[0])
    line = " ".join(printable.split())[:MAX_TEXT_CHARACTERS]
    return "" if line.lower() in _CAMERA_WORDS or _BANNER.match(line) else line
