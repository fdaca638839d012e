"""Place and date in the words of a query: "Lisbon 2023", "beach in Portugal last summer".

No picture has "2023" in its words unless somebody wrote it there, so pictures from a place that the
library knows join those that have all words of the query. They never replace them: "Lisbon 2023"
may be the name of a folder.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from imgsearch.filters.fields import PLACE_FIELDS, comparison
from imgsearch.filters.text_keys import folded
from imgsearch.filters.tree import Compare, Filter, all_of, any_of
from imgsearch.searching.query_hints import Period, period_in
from imgsearch.searching.request import SearchRequest

MAX_WORDS = 16
"""Longer queries are sentences."""
MAX_PLACE_WORDS = 5

_BEFORE_PLACES = {"at", "from", "in", "near", "aus", "en", "em", "da", "de", "à"}
_FILLERS = {
    "a", "an", "and", "at", "from", "in", "my", "near", "of", "our", "photo", "photos", "picture",
    "pictures", "the", "to", "trip", "vacation", "holiday", "holidays",
}  # fmt: skip
"""Words that leave nothing to look for beside place and date."""
_WORD = re.compile(r"[^\s,;]+")


@dataclass(frozen=True, slots=True)
class PlaceReading:
    """A place of the library in a query, and the period beside it."""

    place: str
    period: Period | None

    @property
    def where(self) -> Filter:
        """The filter that passes pictures from there and then."""
        key = folded(self.place)
        parts: list[Filter] = [any_of(Compare(field, "=", key) for field in PLACE_FIELDS)]
        if self.period and self.period.after:
            parts.append(comparison("taken", ">=", self.period.after))
        if self.period and self.period.before:
            parts.append(comparison("taken", "<", self.period.before))
        where = all_of(parts)
        assert where is not None
        return where

    @property
    def note(self) -> str:
        """One line for the user."""
        return f"Read as: place {self.place}{_period_words(self.period)}."


def place_reading(
    request: SearchRequest, known: Callable[[list[str]], set[str]], today: date | None = None
) -> PlaceReading | None:
    """The place and the period that the words of a request name; None if they name no place.

    A place counts if the rest of the query is a date or nothing, or if it is introduced: "beach in
    Nice" names the city, "a nice beach" does not.

    Parameters
    ----------
    known : callable
        Gets folded texts; returns those that are places of the library.
    """
    texts = [term.text for term in request.terms if term.text and term.weight > 0]
    if len(texts) != 1 or any(not term.text for term in request.terms):
        return None
    found = period_in(texts[0], today or date.today())
    words, period = found if found is not None else ("", None)
    rest = _WORD.findall(texts[0].replace(words, " , ", 1) if words else texts[0])
    if not rest or len(rest) > MAX_WORDS:
        return None
    spans = list(_spans(rest))
    places = known(list(dict.fromkeys(folded(_joined(rest, span)) for span in spans)))
    for span in spans:
        place = _joined(rest, span)
        if folded(place) in places and _counts(rest, span, period):
            return PlaceReading(place, period)
    return None


def _counts(rest: list[str], span: tuple[int, int], period: Period | None) -> bool:
    start, end = span
    introduced = start > 0 and rest[start - 1].casefold() in _BEFORE_PLACES
    others = [word.casefold() for word in (*rest[:start], *rest[end:])]
    alone = all(word in _FILLERS for word in others)
    # Beside a date, a capital letter is enough: "Beach Lisbon 2023".
    named = period is not None and rest[start][:1].isupper()
    return introduced or alone or named


def _spans(words: list[str]) -> Iterator[tuple[int, int]]:
    """Runs of words, the longest first."""
    for length in range(min(len(words), MAX_PLACE_WORDS), 0, -1):
        yield from ((start, start + length) for start in range(len(words) - length + 1))


def _joined(words: Iterable[str], span: tuple[int, int]) -> str:
    return " ".join(list(words)[span[0] : span[1]])


def _period_words(period: Period | None) -> str:
    if period is None:
        return ""
    after, before = period.after, period.before
    if len(after) == 4 and before == str(int(after) + 1):
        return f", year {after}"
    words = [f"from {after}"] * bool(after) + [f"before {before}"] * bool(before)
    return f", taken {' and '.join(words)}"
