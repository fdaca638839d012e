"""Suggestions for what is typed into a search box, from what is in a library."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from imgsearch.errors import ImgSearchError, LibraryMissing
from imgsearch.filters.options import FILTERS
from imgsearch.filters.query_text import OPTIONS, QueryText, read_query_text
from imgsearch.filters.text_keys import folded
from imgsearch.filters.tree import quoted
from imgsearch.library import Library
from imgsearch.records import KnownValue
from imgsearch.settings import Settings

MAX_SUGGESTIONS = 12
MAX_PER_KIND = 3
"""Suggestions of one kind, unless the name of its filter is typed in front."""
MAX_WORDS = 3
"""Words at the end of the text that a value may begin with: "new york" is one value."""
MIN_CHARACTERS = 2
"""Shorter texts would match almost everything."""
MAX_AGE_SECONDS = 60.0
"""While pictures are indexed, values are read again after this time, and not for each revision;
clusters, which have no revision, are always read again after it."""

CHOICES = {
    "type": ("jpeg", "png", "heic", "raw", "webp", "gif", "tiff", "avif"),
    "orientation": ("landscape", "portrait", "square"),
    "kind": ("photo", "screenshot", "document"),
    "rating": ("1", "2", "3", "4", "5"),
    "has": ("gps", "date", "camera", "title", "description", "keywords", "people", "place",
            "rating"),
}  # fmt: skip
"""Values of filters that are the same in each library."""

_TYPED = re.compile(r'(?P<before>(?:^|.*\s))(?P<minus>-?)(?P<name>[A-Za-z_-]+):"?(?P<value>[^"]*)',
                    re.DOTALL)  # fmt: skip
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A way to complete a text.

    Attributes
    ----------
    kind : str
        "filter", "saved", or the filter option that takes the value.
    value : str
        The value, the name of the saved search, or the name of the filter.
    text : str
        The whole text with it, ready for what follows. Of a saved search: the words before it.
    count : int or None
        Pictures that have the value, where that is known.
    """

    kind: str
    value: str
    text: str
    count: int | None = None


class Suggestions:
    """A library with the values that are suggested; it belongs to one thread."""

    def __init__(self, settings: Settings) -> None:
        self._library = Library(settings)
        self._state: object = None
        self._read_at = 0.0
        self._values: list[KnownValue] = []
        self._clusters: list[KnownValue] = []
        self._folders: list[str] = []

    def close(self) -> None:
        """Close the library."""
        self._library.close()

    def renew(self) -> None:
        """Open what lies in the library's folder by now."""
        if self._library.replaced:
            self._state = None
        self._library.renew()

    def query(self, text: str) -> QueryText:
        """What a text asks for, with folders of this library."""
        return read_query_text(text, self._folders_named)

    def suggest(self, text: str, limit: int) -> list[Suggestion]:
        """The best ways to complete a text; none without a library."""
        typed = _TYPED.fullmatch(text)
        if typed and (option := OPTIONS.get(typed["name"].lower().replace("-", "_"))):
            return self._of_filter(typed, option.name)[:limit]
        return self._of_words(text)[:limit]

    def _of_filter(self, typed: re.Match[str], name: str) -> list[Suggestion]:
        """Values of the filter whose name is typed."""
        start = f"{typed['before']}{typed['minus']}"
        found = [KnownValue(name, each, 0) for each in CHOICES.get(name, ())]
        found += [each for each in self._candidates() if each.kind == name]
        return [
            Suggestion(name, each.value, f"{start}{_written(each)} ", each.count or None)
            for each in _matching(found, typed["value"])
        ]

    def _of_words(self, text: str) -> list[Suggestion]:
        """Values that begin with the last words, of several kinds, and names of filters."""
        for before, typed in _ends(text):
            found: list[Suggestion] = []
            kinds: dict[str, int] = {}
            offered = [*self._saved(), *self._candidates(), *self._names(typed)]
            for each in _matching(offered, typed):
                kinds[each.kind] = kinds.get(each.kind, 0) + 1
                if kinds[each.kind] <= MAX_PER_KIND:
                    found.append(_suggestion(before, each))
            if found:
                return found
        return []

    def _candidates(self) -> Iterator[KnownValue]:
        self._refresh()
        for option in FILTERS:
            if option.name != "where":
                yield KnownValue("filter", option.name.replace("_", "-"), 0)
        yield from self._values
        yield from self._clusters
        for folder in self._folders:
            yield KnownValue("in", folder, 0)

    def _saved(self) -> list[KnownValue]:
        with suppress(LibraryMissing):
            return [KnownValue("saved", each.name, 0) for each in self._library.saved]
        return []

    def _names(self, typed: str) -> list[KnownValue]:
        with suppress(LibraryMissing):
            found = self._library.catalog.names(typed, MAX_PER_KIND)
            return [KnownValue("name", each, 0) for each in found]
        return []

    def _folders_named(self, path: str) -> list[str]:
        """The folders of the library that a path names: whole, or the end of their paths."""
        self._refresh()
        if path.startswith(("/", "~")):
            return [path]
        parts = folded(path.strip("/"))
        found = {each: None for each in self._folders if folded(each).endswith(f"/{parts}")}
        return [each for each in found if not any(above in found for above in _above(each))]

    def _refresh(self) -> None:
        """Read the values again, if the library has changed."""
        try:
            catalog = self._library.catalog
            state = (catalog.uuid, catalog.head())
        except LibraryMissing:
            self._state, self._values, self._clusters, self._folders = None, [], [], []
            return
        if self._state is not None and time.monotonic() - self._read_at < MAX_AGE_SECONDS:
            return
        with catalog.snapshot():
            if state != self._state:
                self._values, self._folders = catalog.known_values(), catalog.folders()
            self._clusters = self._cluster_names()
        self._state, self._read_at = state, time.monotonic()

    def _cluster_names(self) -> list[KnownValue]:
        with suppress(ImgSearchError):  # nothing is indexed with the model in use
            found = self._library.catalog.clusters(self._library.spaces.searchable())
            return [KnownValue("cluster", each.name, each.count) for each in found if each.count]
        return []


def _ends(text: str) -> Iterator[tuple[str, str]]:
    """The text before its last words, and these, the most words first."""
    places = [match.start() for match in re.finditer(r'(?<!\S)[^\s"-]\S*', text)]
    for place in places[-MAX_WORDS:]:
        typed = text[place:]
        if len(typed.strip()) >= MIN_CHARACTERS and not typed[-1].isspace():
            yield text[:place], typed


def _matching(values: Sequence[KnownValue], typed: str) -> list[KnownValue]:
    """The values that begin with what is typed, then those with a word that does; the most
    frequent first."""
    needle = folded(typed).strip()
    ranked = []
    for place, each in enumerate(values):
        value = folded(each.value)
        if each.kind == "in":
            value = value.rpartition("/")[2] if "/" not in needle else value
        if value.startswith(needle):
            ranked.append((0, -each.count, place, each))
        elif any(value.startswith(needle, word.start()) for word in _WORD.finditer(value)):
            ranked.append((1, -each.count, place, each))
    return [each for *_, each in sorted(ranked, key=lambda rank: rank[:3])]


def _suggestion(before: str, known: KnownValue) -> Suggestion:
    if known.kind == "saved":
        return Suggestion("saved", known.value, before)
    if known.kind == "filter":
        return Suggestion("filter", known.value, f"{before}{known.value}:")
    return Suggestion(known.kind, known.value, f"{before}{_written(known)} ", known.count or None)


def _written(known: KnownValue) -> str:
    """A filter as it is typed."""
    plain = known.value and not re.search(r'[\s"\\]', known.value)
    return f"{known.kind}:{known.value if plain else quoted(known.value)}"


def _above(path: str) -> Iterator[str]:
    """The folders around an absolute path, the nearest first."""
    while path := path.rpartition("/")[0]:
        yield path
