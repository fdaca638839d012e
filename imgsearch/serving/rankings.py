"""Rankings kept for a while, so that page two matches page one while pictures are added.

A ranking is a snapshot of ids and scores, 17 bytes for each picture; the pictures themselves are
looked up page by page. It is a few hundred places deep, and grows as its pages are turned. A cursor
names a ranking and a place in it, and nothing else: it holds no secret, and an invented one leads
nowhere.
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
from imgsearch.searching.request import Term

MAX_KEPT_BYTES = 32 << 20
"""Memory of all rankings that are kept: some 1,500 searches."""
_RANKING_BYTES, _FOLDED_BYTES, _LEADER_BYTES, _TERM_BYTES = 1900, 40, 150, 500
"""Memory of a ranking without pictures, of a folded id, of a list of them or of the parts of a
shot, and of a term without its vector. A test compares them with what Python allocates."""


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
    def bytes(self) -> int:
        """Memory, approximately."""
        ranking = self.ranking
        lists = (*(ranking.folded or {}).values(), *ranking.parts.values())
        arrays = (ranking.ids, ranking.scores, ranking.strengths, ranking.named)
        return (
            _RANKING_BYTES
            + sum(array.nbytes for array in arrays)
            + sum(_LEADER_BYTES + _FOLDED_BYTES * len(ids) for ids in lists)
            + sum(map(_term_bytes, ranking.source.terms if ranking.source else ()))
        )


def _term_bytes(term: Term) -> int:
    text = 4 * len(term.text or "")
    return _TERM_BYTES + text + (0 if term.vector is None else term.vector.nbytes)


class Rankings:
    """The rankings that were used last; any thread may use it."""

    def __init__(self, max_bytes: int = MAX_KEPT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._bytes = 0

    @property
    def bytes(self) -> int:
        """Memory of the rankings, approximately."""
        return self._bytes

    def keep(self, ranking: Ranking, digest: str) -> str:
        """Keep a ranking and drop those unused for longest; the key for its cursors."""
        key = secrets.token_urlsafe(12)
        with self._lock:
            self._put(key, _Kept(ranking, digest))
        return key

    def deepen(self, key: str, ranking: Ranking) -> None:
        """Replace a ranking that is still kept by a deeper one."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and len(kept.ranking) < len(ranking):
                self._bytes -= self._kept.pop(key).bytes
                self._put(key, _Kept(ranking, kept.digest))

    def _put(self, key: str, kept: _Kept) -> None:
        self._kept[key] = kept
        self._bytes += kept.bytes
        while self._bytes > self._max_bytes and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= oldest.bytes

    def clear(self) -> None:
        """Drop all rankings."""
        with self._lock:
            self._kept.clear()
            self._bytes = 0

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
    """The cursor of the page that begins at a place; None after the end."""
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
