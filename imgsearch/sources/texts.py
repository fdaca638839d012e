"""Reads texts with a key, as in PNG, and comments without one. Nothing here raises."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from imgsearch.sources.caption_text import first_line, unique_lines
from imgsearch.sources.dates import at_time, known_parts, read_moment
from imgsearch.sources.statement import COMMENT, TEXT, Moment, Statement

_TITLES = ("title",)
_DESCRIPTIONS = ("description", "comment", "subject", "caption", "parameters")
_KEYWORDS = ("keywords",)


def read_texts(texts: Mapping[str, str], changed: Sequence[int] | None = None) -> Statement:
    """The statements of texts with keys.

    Parameters
    ----------
    texts : mapping of key, in lower case, to text
        The keys are those of the PNG specification (third edition, 11.3.3.2) and those that
        programs have added, such as "parameters" for the words that an image was generated from.
    changed : sequence of int, optional
        Year, month, day, hour, minute and second of the last change, UTC.
    """
    return Statement(
        source=TEXT,
        digitized=read_moment(texts.get("creation time", "")),
        edited=_utc(changed) if changed else None,
        title=first_line(_values(texts, _TITLES)),
        description=first_line(_values(texts, _DESCRIPTIONS)),
        keywords=unique_lines(
            word
            for value in _values(texts, _KEYWORDS)
            for word in value.replace(";", ",").split(",")
        ),
    )


def read_comments(comments: Iterable[bytes]) -> Statement:
    """The statements of comments, which are UTF-8 or else taken for Latin-1."""
    return Statement(source=COMMENT, description=first_line(map(_decoded, comments)))


def _values(texts: Mapping[str, str], keys: Sequence[str]) -> list[str]:
    return [texts[key] for key in keys if key in texts]


def _decoded(comment: bytes) -> str:
    try:
        return comment.decode("utf-8")
    except UnicodeDecodeError:
        return comment.decode("latin-1")


def _utc(changed: Sequence[int]) -> Moment | None:
    year, month, day, hour, minute, second = changed
    date = known_parts(year, month, day)
    return None if date is None else at_time(date, hour, minute, second, 0)
