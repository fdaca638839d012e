"""What the commands that find pictures ask of a library, in questions that can travel.

`Finder` is the port. `LocalFinder` answers with a library in this process; `daemon.client` hands
the same questions to a process that has one open already.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from imgsearch.filters.tree import Filter
from imgsearch.model_card import ModelCard
from imgsearch.records import Hit, Query, Term
from imgsearch.searching.trace import Explanation

if TYPE_CHECKING:
    from imgsearch.library import Library
    from imgsearch.searching.history import LastSearch


class Finder(Protocol):
    """Answers the questions of one call. Errors are those of the library."""

    @property
    def library(self) -> Library:
        """The library in this process, opened when first needed."""

    @property
    def instruction(self) -> str:
        """What the model is told about the words of this call; "" for what it is told anyway."""

    def picture(self, path: str, weight: float = 1.0) -> Term:
        """A picture file as a term."""

    def given(self, data: bytes, name: str, weight: float = 1.0) -> Term:
        """A picture that is no file as a term; `name` is for messages."""

    def result(self, rank: int, weight: float = 1.0) -> Term:
        """A result of the last search as a term."""

    def result_path(self, rank: int) -> str:
        """Where the file of a result of the last search is; absolute."""

    def last_terms(self) -> list[Term]:
        """The terms of the last search, fit for the model in use; none if there was none."""

    def find(self, query: Query, unique: bool, told: Explanation) -> tuple[list[Hit], str]:
        """The hits, near-identical ones folded if `unique`, and what to tell if they could not be
        kept as the last search."""

    def passing(self, where: Filter) -> int:
        """How many pictures pass a filter."""

    def card(self) -> ModelCard:
        """The card of the model in use."""

    def close(self) -> None:
        """Close what was opened."""


class LocalFinder:
    """A `Finder` with a library in this process."""

    def __init__(self, library: Library) -> None:
        self.library = library

    @property
    def instruction(self) -> str:
        return self.library.settings.instruction

    def picture(self, path: str, weight: float = 1.0) -> Term:
        return self.library.image_term(path, weight)

    def given(self, data: bytes, name: str, weight: float = 1.0) -> Term:
        return self.library.given_term(data, name, weight)

    def result(self, rank: int, weight: float = 1.0) -> Term:
        from imgsearch.searching.history import picture

        last = self._last_with(rank)  # told before an index is opened for nothing
        catalog, space = self.library.catalog, self.library.searcher.index.space
        vector = picture(last, rank, catalog, space, catalog.vector)
        return Term(vector=vector, weight=weight)

    def result_path(self, rank: int) -> str:
        from imgsearch.searching.history import still_there

        return still_there(self._last_with(rank), rank, self.library.catalog).file.absolute

    def last_terms(self) -> list[Term]:
        if self._last is None:
            return []
        return self._last.terms_for(self.library.searcher.index.space)

    def _last_with(self, rank: int) -> LastSearch:
        """The last search; raises `QueryError` if there was none."""
        from imgsearch.searching.history import nothing_yet

        if self._last is None:
            raise nothing_yet(f"result #{rank}")
        return self._last

    @cached_property
    def _last(self) -> LastSearch | None:
        """The last search of this library, read once."""
        from imgsearch.searching.history import load

        return load(self.library.catalog.folder, self.library.catalog.uuid)

    def find(self, query: Query, unique: bool, told: Explanation) -> tuple[list[Hit], str]:
        search = self.library.search_folded if unique else self.library.search
        hits = search(query, told)
        return hits, self._kept(query.terms, hits, told)

    def _kept(self, terms: Sequence[Term], hits: Sequence[Hit], told: Explanation) -> str:
        """Keep a search for the next one to refer to; what to tell if an older one stays."""
        from imgsearch.searching.history import FILE, from_search, save

        catalog = self.library.catalog
        spaced = bool(told.vectors) or any(term.vector is not None for term in terms)
        space = self.library.searcher.index.space if spaced else None
        last = from_search(catalog.uuid, space, terms, told.vectors, hits)
        if save(catalog.folder, last) or not os.path.isfile(os.path.join(catalog.folder, FILE)):
            return ""
        return "This search could not be kept: '#1' and --more still mean an earlier one."

    def passing(self, where: Filter) -> int:
        return self.library.passing(where)

    def card(self) -> ModelCard:
        return self.library.encoder().card

    def close(self) -> None:
        self.library.close()
