"""Queries with known answers, and the lookup of the pictures that they name."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from imgsearch.errors import QueryError
from imgsearch.library import Library

_CHUNK_RECORDS = 10_000
HINT = 'A line is {"query": "a dog", "relevant": ["dog.jpg"], "kind": "caption"}, or has '
HINT += '"query_image": "cat.jpg" in place of "query".'


@dataclass(frozen=True, slots=True)
class Question:
    """A query with its right answers, from a line of a file of queries.

    Attributes
    ----------
    text, image : str
        The query: a text or the name of a picture; the other is "".
    relevant : tuple of str
        Names of pictures; see `Names`.
    kind : str
        A group with its own figures; "" for none.
    origin : str
        File and line, for messages.
    folder : str
        Folder of the file.
    """

    text: str
    image: str
    relevant: tuple[str, ...]
    kind: str
    origin: str
    folder: str


def read_questions(path: str) -> list[Question]:
    """The questions of a JSON Lines file.

    Raises
    ------
    QueryError
        The file cannot be read, or a line is not valid; the message names the line.
    """
    folder = os.path.dirname(os.path.abspath(path))
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise QueryError(f"{path} cannot be read: {reason}", HINT) from None
    questions = [
        _question(line, f"{path}, line {number}", folder)
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]
    if not questions:
        raise QueryError(f"{path} has no queries", HINT)
    return questions


def _question(line: str, origin: str, folder: str) -> Question:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        raise QueryError(f"{origin} is not valid JSON", HINT) from None
    entry = entry if isinstance(entry, dict) else {}
    text, image = entry.get("query", ""), entry.get("query_image", "")
    relevant, kind = entry.get("relevant"), entry.get("kind", "")
    relevant = relevant if isinstance(relevant, list) else []
    valid = relevant and all(map(_is_text, relevant)) and isinstance(kind, str)
    if not valid or _is_text(text) == _is_text(image):
        raise QueryError(f"{origin} is not a query with its relevant pictures", HINT)
    return Question(text, image, tuple(dict.fromkeys(relevant)), kind, origin, folder)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


class Names:
    """The pictures of a library by the names in questions.

    A name is a path, absolute or relative to the file of questions or to a folder of the library;
    or the end of a path, such as a file name, that matches only one picture.
    """

    def __init__(self, library: Library, questions: Sequence[Question]) -> None:
        self._roots = [root.path for root in library.catalog.roots()]
        names = {name for each in questions for name in (*each.relevant, each.image)}
        basenames = {os.path.basename(name) for name in names}
        self._paths: dict[str, int] = {}
        self._ends: dict[str, list[str]] = defaultdict(list)
        ids = library.catalog.all_ids().tolist()
        for start in range(0, len(ids), _CHUNK_RECORDS):
            for image_id, record in library.catalog.get(
                ids[start : start + _CHUNK_RECORDS]
            ).items():
                path = record.file.absolute
                if os.path.basename(path) in basenames:
                    self._paths[path] = image_id
                    self._ends[os.path.basename(path)].append(path)

    def find(self, name: str, question: Question) -> int | None:
        """The id of the picture of that name; None if the library has none.

        Raises
        ------
        QueryError
            The name matches several pictures.
        """
        return self._paths.get(self.path(name, question))

    def path(self, name: str, question: Question) -> str:
        """The path of the picture of that name; the name itself if the library has none."""
        for folder in (question.folder, *self._roots):
            path = os.path.normpath(os.path.join(folder, name))
            if path in self._paths:
                return path
            if _real(path) in self._paths:
                return _real(path)
        matches = [] if os.path.isabs(name) else self._ending_in(name)
        if len(matches) > 1:
            raise QueryError(
                f"{question.origin}: {name} may be {matches[0]} or {matches[1]}",
                "Give more of its path.",
            )
        return matches[0] if matches else name

    def _ending_in(self, name: str) -> list[str]:
        parts = [part for part in os.path.normpath(name).split(os.sep) if part != os.pardir]
        end = os.sep.join(["", *parts])
        return [path for path in self._ends.get(os.path.basename(name), []) if path.endswith(end)]


def _real(path: str) -> str:
    try:
        return os.path.realpath(path)
    except ValueError:  # a NUL, or bytes that are not text
        return path
