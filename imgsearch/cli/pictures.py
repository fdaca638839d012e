"""Pictures of a query: a file, stdin, an address, or a result of the last search."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

from imgsearch.errors import QueryError

if TYPE_CHECKING:
    from imgsearch.finding import Finder
    from imgsearch.records import Term

STDIN = "-"
MOST_STDIN = 256 << 20
"""Bytes of a picture from stdin."""
_RESULT = re.compile(r"#([0-9]{1,9})")
_URL = re.compile(r"https?://", re.IGNORECASE)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)
"""Of any scheme: RFC 3986, 3.1. No words that somebody searches for look like that."""


def is_picture(word: str) -> bool:
    """True if a word is meant as a file: it ends like a picture, or is the path of a file."""
    from imgsearch.sources.formats import is_picture_name

    path = os.sep in word and os.path.isfile(word)
    return path or (is_picture_name(word) and "\n" not in word)


class Pictures:
    """Turns what the user wrote into terms that are pictures, for one query.

    Parameters
    ----------
    pixels : bool
        True where a model has to see each picture itself; else that of a picture of the library
        is the vector that is known already. The library of this process gives them.
    """

    def __init__(self, finder: Finder, allow_url: bool = False, pixels: bool = False) -> None:
        self.finder = finder
        self._allow_url = allow_url
        self._pixels = pixels
        self._stdin_taken = False

    def means(self, word: str) -> bool:
        """True if a word that may also be a text is meant as a picture."""
        named = word == STDIN or _RESULT.fullmatch(word) or _is_address(word)
        return bool(named) or is_picture(word)

    def term(self, word: str, weight: float = 1.0) -> Term:
        """The picture that a word stands for.

        Raises
        ------
        QueryError
            There is none, or it cannot be used.
        """
        if word == STDIN:
            return self.finder.given(self._stdin(), "what came from stdin", weight)
        if _is_address(word):
            return self.finder.given(self._fetched(word), word, weight)
        found = _RESULT.fullmatch(word)
        if self._pixels:
            return self._seen(self.finder.result_path(int(found[1])) if found else word, weight)
        if found:
            return self.finder.result(int(found[1]), weight)
        return self.finder.picture(word, weight)

    def _seen(self, path: str, weight: float) -> Term:
        from imgsearch.records import Term

        return Term(image=self.finder.library.pixels(path), weight=weight)

    def _stdin(self) -> bytes:
        if self._stdin_taken:
            raise QueryError("stdin can be only one picture of a query", "Give '-' once.")
        self._stdin_taken = True
        return _read_stdin()

    def _fetched(self, url: str) -> bytes:
        if not _URL.match(url):
            raise QueryError(
                f"{url} is no http or https address, and no others are fetched",
                "A picture on this machine is given by its path: /photos/beach.jpg",
            )
        if not self._allow_url:
            raise QueryError(
                f"{url} is on the network, which imgsearch leaves alone unless told otherwise",
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


def _is_address(word: str) -> bool:
    return _ADDRESS.fullmatch(word) is not None and not os.path.exists(word)


def _read_stdin() -> bytes:
    hint = "Send one: imgsearch search - < picture.jpg"
    try:
        if sys.stdin is None or sys.stdin.isatty():
            raise QueryError("no picture comes from stdin", hint)
        data = sys.stdin.buffer.read(MOST_STDIN + 1)
    except (OSError, ValueError) as error:  # closed, or a folder
        raise QueryError("stdin cannot be read", hint) from error
    if not data:
        raise QueryError("no picture comes from stdin: it is empty", hint)
    if len(data) > MOST_STDIN:
        raise QueryError(
            f"what came from stdin has more than {MOST_STDIN >> 20} MiB", "Give a smaller picture."
        )
    return data
