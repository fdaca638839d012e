"""Rankings that are kept for a while, so that page two belongs to page one while pictures come in.

A ranking is a snapshot of ids and scores, 17 bytes for each picture; the pictures themselves are
looked up page by page. A cursor names a ranking and a place in it, and nothing else: it holds no
secret, and one that was made up leads nowhere.
"""

from __future__ import annotations

import base64
import binascii
import math
import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from imgsearch.errors import QueryError
from imgsearch.records import Hit, ImageRecord, Ranked
from imgsearch.vectors import Ids

MOST_RANKED = 100_000
"""Pictures of one ranking."""
MOST_KEPT = 4_000_000
"""Places of all rankings that are kept: 68 MB."""
RECORD, INT = 64, 3
"""What a ranking without pictures weighs, and an id that is no element of an array, in places of 17
bytes."""


class CursorLost(QueryError):
    """A cursor whose ranking is no longer kept."""

    def __init__(self) -> None:
        super().__init__(
            "the list that this page belongs to is no longer kept", "Search again without a cursor."
        )


@dataclass(frozen=True, slots=True)
class Ranking:
    """What a search found, best first.

    Attributes
    ----------
    digest : str
        Of the query, so that a cursor is not used with another one.
    ids : ndarray of shape (n,), int64
    scores, strengths : ndarray of shape (n,), float32
        NaN where there is none.
    named : ndarray of shape (n,), bool
    revision : int
        Of the catalog when the search was made.
    by_date : bool
        True where there was nothing to compare with, and pictures are listed by date.
    note : str
        A sentence for the user; "" for none.
    complete : bool
        False where there may be more than were ranked.
    folded : mapping of id to ids
        Pictures that were folded into one; empty where nothing was folded.
    """

    digest: str
    ids: Ids
    scores: NDArray[np.float32]
    strengths: NDArray[np.float32]
    named: NDArray[np.bool_]
    revision: int = 0
    by_date: bool = False
    note: str = ""
    complete: bool = True
    folded: Mapping[int, Sequence[int]] | None = None
    key: str = field(default_factory=lambda: secrets.token_urlsafe(12))

    def named_for(self, digest: str) -> Ranking:
        """The same ranking for the query of that digest."""
        return replace(self, digest=digest)

    @property
    def size(self) -> int:
        """What it weighs, in places: so many of them would take the same memory, about."""
        folded = (self.folded or {}).values()
        return RECORD + len(self.ids) + INT * sum(len(ids) for ids in folded)

    @property
    def total(self) -> int | None:
        """How many were found; None where there may be more than a ranking holds."""
        return len(self.ids) if self.complete else None

    def hits(self, start: int, records: Mapping[int, ImageRecord], limit: int) -> list[Hit]:
        """A page of it: those of its pictures that are still in the library."""
        found = []
        for place in range(start, min(start + limit, len(self.ids))):
            record = records.get(int(self.ids[place]))
            if record is not None:
                found.append(self._ranked(place).hit(place + 1, record))
        return found

    def page_ids(self, start: int, limit: int) -> list[int]:
        """The ids of a page."""
        ids: list[int] = self.ids[start : start + limit].tolist()
        return ids

    def cursor(self, place: int) -> str | None:
        """What leads to the page that begins at a place; None behind the end."""
        if place >= len(self.ids):
            return None
        return base64.urlsafe_b64encode(f"{self.key}.{place}".encode()).decode().rstrip("=")

    def _ranked(self, place: int) -> Ranked:
        score, strength = float(self.scores[place]), float(self.strengths[place])
        return Ranked(
            int(self.ids[place]),
            None if math.isnan(score) else score,
            None if math.isnan(strength) else strength,
            bool(self.named[place]),
        )


def ranking_of(
    digest: str,
    ranked: Sequence[Ranked],
    revision: int = 0,
    by_date: bool = False,
    note: str = "",
    complete: bool = True,
) -> Ranking:
    """A ranking from its places, best first."""
    nan = math.nan
    return Ranking(
        digest,
        np.array([each.id for each in ranked], np.int64),
        np.array([nan if each.score is None else each.score for each in ranked], np.float32),
        np.array([nan if each.strength is None else each.strength for each in ranked], np.float32),
        np.array([each.named for each in ranked], np.bool_),
        revision,
        by_date,
        note,
        complete,
    )


class Rankings:
    """The rankings that were asked for last; any thread may use it."""

    def __init__(self, most_kept: int = MOST_KEPT) -> None:
        self._most = most_kept
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Ranking] = OrderedDict()
        self._size = 0

    def keep(self, ranking: Ranking) -> None:
        """Keep a ranking, and forget those that were not used for longest."""
        with self._lock:
            self._kept[ranking.key] = ranking
            self._size += ranking.size
            while self._size > self._most and len(self._kept) > 1:
                _, oldest = self._kept.popitem(last=False)
                self._size -= oldest.size

    def forget(self) -> None:
        """Keep none of them."""
        with self._lock:
            self._kept.clear()
            self._size = 0

    def at(self, cursor: str, digest: str) -> tuple[Ranking, int]:
        """The ranking and the place that a cursor stands for.

        Raises
        ------
        CursorLost
            It is no longer kept, or there never was such a one.
        QueryError
            It belongs to another query.
        """
        key, place = _read(cursor)
        with self._lock:
            ranking = self._kept.get(key)
            if ranking is None or place > len(ranking.ids):
                raise CursorLost
            self._kept.move_to_end(key)
        if ranking.digest != digest:
            raise QueryError(
                "the cursor belongs to another search", "Give it with the same search again."
            )
        return ranking, place


def _read(cursor: str) -> tuple[str, int]:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        key, _, place = text.rpartition(".")
        if not (place.isascii() and place.isdigit() and len(place) < 10):
            raise CursorLost
        return key, int(place)
    except (ValueError, binascii.Error):
        raise CursorLost from None
