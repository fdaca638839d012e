"""Rankings kept for a while, so that page two belongs to page one while pictures come in.

A ranking is a snapshot of ids and scores, 17 bytes for each picture; the pictures themselves are
looked up page by page. A cursor names a ranking and a place in it, and nothing else: it holds no
secret, and one that was made up leads nowhere.
"""

from __future__ import annotations

import base64
import binascii
import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass

from imgsearch.errors import QueryError
from imgsearch.searching.hits import Ranking

MAX_KEPT_PLACES = 4_000_000
"""Places of all rankings that are kept: 68 MB."""
_RANKING_PLACES, _ID_PLACES = 64, 3
"""Memory of a ranking without pictures, and of an id outside an array, in places of 17 bytes."""


class CursorLost(QueryError):
    """A cursor whose ranking is no longer kept."""

    def __init__(self) -> None:
        super().__init__(
            "the list that this page belongs to is no longer kept", "Search again without a cursor."
        )


@dataclass(frozen=True, slots=True)
class _Kept:
    """A ranking and the digest of its request, so that a cursor is not used with another one."""

    ranking: Ranking
    digest: str

    @property
    def places(self) -> int:
        """Memory, in places of 17 bytes."""
        folded = sum(map(len, (self.ranking.folded or {}).values()))
        return _RANKING_PLACES + len(self.ranking) + _ID_PLACES * folded


class Rankings:
    """The rankings that were used last; any thread may use it."""

    def __init__(self, max_places: int = MAX_KEPT_PLACES) -> None:
        self._max_places = max_places
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._places = 0

    def keep(self, ranking: Ranking, digest: str) -> str:
        """Keep a ranking and drop those unused for longest; the key for its cursors."""
        key, kept = secrets.token_urlsafe(12), _Kept(ranking, digest)
        with self._lock:
            self._kept[key] = kept
            self._places += kept.places
            while self._places > self._max_places and len(self._kept) > 1:
                _, oldest = self._kept.popitem(last=False)
                self._places -= oldest.places
        return key

    def clear(self) -> None:
        """Drop all rankings."""
        with self._lock:
            self._kept.clear()
            self._places = 0

    def at(self, cursor: str, digest: str) -> tuple[str, Ranking, int]:
        """The key, the ranking and the place that a cursor stands for.

        Raises
        ------
        CursorLost
            The ranking is no longer kept, or never was.
        QueryError
            It belongs to another request.
        """
        key, place = _parse_cursor(cursor)
        with self._lock:
            kept = self._kept.get(key)
            if kept is None or place > len(kept.ranking):
                raise CursorLost
            self._kept.move_to_end(key)
        if kept.digest != digest:
            raise QueryError(
                "the cursor belongs to another search", "Use it with the same search again."
            )
        return key, kept.ranking, place


def cursor(key: str, ranking: Ranking, place: int) -> str | None:
    """The cursor of the page that begins at a place; None behind the end."""
    if place >= len(ranking):
        return None
    return base64.urlsafe_b64encode(f"{key}.{place}".encode()).decode().rstrip("=")


def _parse_cursor(text: str) -> tuple[str, int]:
    try:
        plain = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
        key, _, place = plain.rpartition(".")
        if not (place.isascii() and place.isdigit() and len(place) < 10):
            raise CursorLost
        return key, int(place)
    except (ValueError, binascii.Error):
        raise CursorLost from None
