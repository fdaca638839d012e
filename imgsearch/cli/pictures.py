"""Pictures of a query: a file, stdin, an address, or a result of the last search."""

from __future__ import annotations

import os
import re
import sys
from functools import cached_property
from typing import TYPE_CHECKING

from imgsearch.errors import QueryError

if TYPE_CHECKING:
    from imgsearch.app import Library
    from imgsearch.last_results import LastSearch
    from imgsearch.records import Term
    from imgsearch.vectors import Embeddings

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
        is the vector that is known already.
    """

    def __init__(self, library: Library, allow_url: bool = False, pixels: bool = False) -> None:
        self.library = library
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
        from imgsearch.records import Term

        if word == STDIN:
            return self.library.given_term(self._stdin(), "what came from stdin", weight)
        if _is_address(word):
            return self.library.given_term(self._fetched(word), word, weight)
        found = _RESULT.fullmatch(word)
        if found and not self._pixels:
            return Term(vector=self.result(int(found[1])), weight=weight)
        if self._pixels:
            path = self._path_of_result(int(found[1])) if found else word
            return Term(image=self.library.pixels(path), weight=weight)
        return self.library.image_term(word, weight)

    @cached_property
    def last(self) -> LastSearch | None:
        """The last search of this library, read once."""
        from imgsearch.last_results import load

        return load(self.library.catalog.folder, self.library.catalog.uuid)

    def result(self, rank: int) -> Embeddings:
        """The vector of a result of the last search, in the space in use."""
        from imgsearch.last_results import nothing_yet, picture

        if self.last is None:  # told before an index is opened for nothing
            raise nothing_yet(f"result #{rank}")
        catalog, space = self.library.catalog, self.library.searcher.index.space
        return picture(self.last, rank, catalog, space, catalog.vector)

    def _path_of_result(self, rank: int) -> str:
        from imgsearch.last_results import nothing_yet, still_there

        if self.last is None:
            raise nothing_yet(f"result #{rank}")
        return still_there(self.last, rank, self.library.catalog).file.absolute

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
        from imgsearch.sources.files import Unusable
        from imgsearch.sources.web import fetch

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
