"""Turns the words of the command line into terms of a request, without reading pictures.

A picture is a file, - for stdin, '#3' for a result of the last search, or a URL.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from imgsearch.errors import QueryError
from imgsearch.searching.request import Term
from imgsearch.searching.terms import (
    LIKE_WEIGHT,
    NOT_WEIGHT,
    checked_text,
    split_weight,
    text_term,
)

STDIN = "-"
MAX_STDIN_BYTES = 256 << 20
_RESULT = re.compile(r"#([0-9]{1,9})")
_URL = re.compile(r"https?://", re.IGNORECASE)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)
"""Of any scheme: RFC 3986, 3.1. Words of a search do not look like that."""


def is_picture(word: str) -> bool:
    """True if a word names a file: it ends like a picture, or is the path of a file."""
    from imgsearch.sources.formats import is_picture_name

    path = os.sep in word and os.path.isfile(word)
    return path or (is_picture_name(word) and "\n" not in word)


class TermReader:
    """Turns the words of one command into terms.

    Parameters
    ----------
    allow_url : bool
        URLs are fetched; otherwise they are refused.
    """

    def __init__(self, allow_url: bool = False) -> None:
        self._allow_url = allow_url
        self._stdin_taken = False

    def means_picture(self, word: str) -> bool:
        """True if a word that may also be a text means a picture."""
        special = word == STDIN or _RESULT.fullmatch(word) or _is_address(word)
        return bool(special) or is_picture(word)

    def picture(self, word: str, weight: float = 1.0) -> Term:
        """The picture that a word stands for; raises `QueryError` if there is none."""
        if word == STDIN:
            return Term(data=self._stdin(), name="what came from stdin", weight=weight)
        if _is_address(word):
            return Term(data=self._fetched(word), name=word, weight=weight)
        result = _RESULT.fullmatch(word)
        if result:
            return Term(result=int(result[1]), weight=weight)
        path = word
        with suppress(OSError):  # the working folder is gone
            path = os.path.join(os.getcwd(), word) if word else word
        return Term(path=path, name=word, weight=weight)

    def picture_or_text(self, word: str, weight: float = 1.0) -> Term:
        """A picture, or else a text."""
        return self.picture(word, weight) if self.means_picture(word) else text_term(word, weight)

    def _stdin(self) -> bytes:
        if self._stdin_taken:
            raise QueryError("stdin can be only one picture of a query", "Use '-' once.")
        self._stdin_taken = True
        return _read_stdin()

    def _fetched(self, url: str) -> bytes:
        if not _URL.match(url):
            raise QueryError(
                f"{url} is not an http or https address, and no others are fetched",
                "Name a picture on this machine by its path: /photos/beach.jpg",
            )
        if not self._allow_url:
            raise QueryError(
                f"{url} is on the network, which imgsearch does not use without permission",
                "To fetch this picture add --allow-url.",
            )
        from imgsearch.sources.fetch import fetch
        from imgsearch.sources.guarded_files import Unusable

        try:
            return fetch(url)
        except Unusable as error:
            raise QueryError(
                f"cannot fetch {url}: {error.reason}", "Try the address in a browser."
            ) from error


def query_terms(
    reader: TermReader,
    words: Sequence[str],
    plus: Sequence[str],
    minus: Sequence[str],
    like: Sequence[str],
    only_words: bool = False,
) -> list[Term]:
    """The terms of `search`: the words make one text, or name one picture.

    Parameters
    ----------
    only_words : bool
        Even "owl.jpg" is a text: the name of a file to look for.
    """
    terms = []
    alone = words[0] if len(words) == 1 and not only_words else ""
    if reader.means_picture(alone) or reader.means_picture(alone.rpartition("^")[0]):
        terms.append(reader.picture(*_split_weight(alone, 1.0)))
    elif any(word.strip() for word in words):
        terms.append(Term(text=checked_text(" ".join(words))))
    terms += [reader.picture_or_text(*_split_weight(each, 1.0)) for each in plus]
    for each in minus:
        text, weight = _split_weight(each, NOT_WEIGHT)
        terms.append(reader.picture_or_text(text, -weight))
    return terms + [reader.picture(*_split_weight(each, LIKE_WEIGHT)) for each in like]


def fused_term(reader: TermReader, words: Sequence[str], like: Sequence[str]) -> Term:
    """The words with the one picture that they are about, for a model that reads both in one."""
    if len(like) != 1 or not any(word.strip() for word in words):
        raise QueryError(
            "--fused is for words with one picture",
            "For example: imgsearch search the same car in red --like car.jpg --fused",
        )
    picture, weight = _split_weight(like[0], 0.0)
    if weight:
        raise QueryError(
            f"a picture that is fused with words cannot have a weight of its own: {like[0]}",
            "Leave the weight out, or leave out --fused.",
        )
    return replace(reader.picture(picture), text=checked_text(" ".join(words)), fused=True)


def _split_weight(word: str, default: float) -> tuple[str, float]:
    """Like `split_weight`, but a file may have "^" in its name."""
    return (word, default) if os.path.exists(word) else split_weight(word, default)


def _is_address(word: str) -> bool:
    return _ADDRESS.fullmatch(word) is not None and not os.path.exists(word)


def _read_stdin() -> bytes:
    hint = "Send one: imgsearch search - < picture.jpg"
    try:
        if sys.stdin is None or sys.stdin.isatty():
            raise QueryError("no picture comes from stdin", hint)
        data = sys.stdin.buffer.read(MAX_STDIN_BYTES + 1)
    except (OSError, ValueError) as error:  # closed, or a folder
        raise QueryError("stdin cannot be read", hint) from error
    if not data:
        raise QueryError("no picture comes from stdin: it is empty", hint)
    if len(data) > MAX_STDIN_BYTES:
        raise QueryError(
            f"what came from stdin has more than {MAX_STDIN_BYTES >> 20} MiB",
            "Use a smaller picture.",
        )
    return data
