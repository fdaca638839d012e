"""Groups of duplicates page by page: lists that stay open where reading stopped."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from imgsearch.curation.duplicate_groups import DuplicateGroup
from imgsearch.curation.duplicates import DuplicateRequest
from imgsearch.errors import QueryError
from imgsearch.library import Library
from imgsearch.serving.rankings import CursorLost
from imgsearch.settings import Settings

MAX_OPEN_LISTS = 4
MAX_NOTES = 8


@dataclass(slots=True)
class _List:
    """A list of groups, read up to a place, and the group that was read ahead."""

    groups: Iterator[DuplicateGroup]
    place: int = 0
    ahead: DuplicateGroup | None = None

    def take(self, count: int) -> list[DuplicateGroup]:
        """The next groups; fewer at the end."""
        found = [] if self.ahead is None else [self.ahead]
        found += islice(self.groups, count + 1 - len(found))
        self.ahead = found.pop() if len(found) > count else None
        self.place += len(found)
        return found


@dataclass(frozen=True, slots=True)
class DuplicatePage:
    """Some groups, the cursor of those that follow, or None, and notes for the user."""

    groups: list[DuplicateGroup]
    cursor: str | None
    notes: list[str]


class DuplicateLists:
    """A library with lists of its duplicates; it belongs to one thread.

    The groups of a list are the same whenever it is made in one state of the library, so a page can
    be read again.
    """

    def __init__(self, settings: Settings) -> None:
        self._notes: list[str] = []
        self._library = Library(settings, self._notes.append)
        self._lists: OrderedDict[str, _List] = OrderedDict()

    def close(self) -> None:
        """Close the library."""
        self._library.close()

    def renew(self) -> None:
        """Open the library again as it is now; lists of another library end."""
        if self._library.replaced:
            self._lists.clear()
        self._library.renew()

    def page(self, request: DuplicateRequest, cursor: str | None, limit: int) -> DuplicatePage:
        """The groups from a cursor on, or from the first.

        Raises
        ------
        CursorLost
            The library has changed since, or the cursor belongs to another request.
        QueryError
            The cursor makes no sense.
        """
        del self._notes[:]
        key, place = self._key(request), 0
        if cursor is not None:
            known, place = _read(cursor)
            if known != key:
                raise CursorLost
        one = self._at(key, request, place)
        groups = one.take(limit)
        following = f"{key}.{one.place}" if one.ahead is not None else None
        return DuplicatePage(groups, following, self._notes[:MAX_NOTES])

    def _at(self, key: str, request: DuplicateRequest, place: int) -> _List:
        one = self._lists.pop(key, None)
        if one is None or one.place > place:
            one = _List(self._library.duplicates(request.where, request.level, request.prefer))
        one.take(place - one.place)
        self._lists[key] = one
        while len(self._lists) > MAX_OPEN_LISTS:
            self._lists.popitem(last=False)
        return one

    def _key(self, request: DuplicateRequest) -> str:
        """Names a request in one state of the library."""
        catalog = self._library.catalog
        state = f"{catalog.uuid} {catalog.head()} {request!r}"
        return hashlib.sha256(state.encode("utf-8", "surrogatepass")).hexdigest()[:20]


def _read(cursor: str) -> tuple[str, int]:
    key, _, place = cursor.partition(".")
    with suppress(ValueError):
        if place.isascii() and place.isdigit() and len(place) < 10:
            return key, int(place)
    raise QueryError("the cursor is not valid", "Use 'next' of the page before.")
