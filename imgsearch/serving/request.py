"""A search as another program asks for it: names and values in, a ranking out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace

from imgsearch.filters.options import chosen, why_none
from imgsearch.filters.tree import Filter
from imgsearch.library import Library
from imgsearch.records import Query, Term
from imgsearch.searching.duplicates import near_identical
from imgsearch.searching.feedback import refined
from imgsearch.searching.terms import (
    LIKE_WEIGHT,
    NOT_WEIGHT,
    least_strength,
    split_weight,
    text_term,
)
from imgsearch.searching.trace import Explanation
from imgsearch.serving.rankings import MOST_RANKED, Ranking, ranking_of
from imgsearch.vectors import Pixels

MOST_STRONG = 10_000
"""Pictures of a ranking from which weak hits are left out."""
MOST_TERMS = 32
"""Texts and pictures of one query, and values of one filter."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which pictures may be found; the names are those of the command line."""

    inside: Sequence[str] = ()
    after: Sequence[str] = ()
    before: Sequence[str] = ()
    camera: Sequence[str] = ()
    type: Sequence[str] = ()
    min_size: Sequence[str] = ()
    orientation: Sequence[str] = ()
    near: Sequence[str] = ()
    has: Sequence[str] = ()
    name: Sequence[str] = ()
    where: Sequence[str] = ()

    def filter(self) -> Filter | None:
        """The filter; raises `QueryError` for a value that makes no sense."""
        return chosen(**asdict(self))


@dataclass(frozen=True, slots=True)
class Asked:
    """A search.

    Attributes
    ----------
    text : str
        What is looked for; "" for none.
    plus, minus : sequence of str
        Further texts, and texts that are not wanted; each may end with ^WEIGHT.
    like, unlike : sequence of int
        Ids of pictures that are examples, and examples of what is not wanted.
    good, bad : sequence of int
        Ids of pictures that were right or wrong: relevance feedback.
    min_strength : float or None
        None for what suits the terms.
    unique : bool
        Fold near-identical pictures into one.
    """

    text: str = ""
    plus: Sequence[str] = ()
    minus: Sequence[str] = ()
    like: Sequence[int] = ()
    unlike: Sequence[int] = ()
    good: Sequence[int] = ()
    bad: Sequence[int] = ()
    filters: Filters = field(default_factory=Filters)
    mode: str = "hybrid"
    min_strength: float | None = None
    unique: bool = False

    def digest(self, pictures: Sequence[bytes] = ()) -> str:
        """Tells two searches apart, with the bytes of the example pictures of each."""
        parts = [repr(asdict(self)), *(hashlib.sha256(data).hexdigest() for data in pictures)]
        return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]

    def query(self, pictures: Sequence[Pixels] = ()) -> Query:
        """The query, but for the pictures that are named by their ids.

        Raises
        ------
        QueryError
            A text, a weight or a filter that makes no sense.
        """
        terms = [text_term(self.text)] if self.text.strip() else []
        terms += [text_term(*split_weight(each, 1.0)) for each in self.plus]
        for each in self.minus:
            text, weight = split_weight(each, NOT_WEIGHT)
            terms.append(text_term(text, -weight))
        alone = 1.0 if not terms else LIKE_WEIGHT
        terms += [Term(image=each, weight=alone) for each in pictures]
        every = not self.min_strength and self.min_strength is not None
        most = MOST_RANKED if every or not (terms or self.like or self.good) else MOST_STRONG
        return Query(terms, most, where=self.filters.filter(), mode=self.mode)

    def needs_index(self, query: Query) -> bool:
        """False for a list by date and for one by words alone, which the catalog gives."""
        if self.like or self.unlike or self.good or self.bad:
            return True
        return bool(query.terms) and (self.unique or query.mode != "text")


def rank(library: Library, query: Query, asked: Asked, told: Explanation) -> Ranking:
    """The ranking for a search.

    Parameters
    ----------
    query : Query
        `asked.query()`, whose texts may have got their vectors meanwhile.
    """
    if asked.needs_index(query):
        # Opened before the snapshot: an opening may write the index, and must see the latest state.
        _ = library.searcher
    with library.catalog.snapshot():
        revision = library.catalog.head()[0]
        terms = _all_terms(library, query.terms, asked)
        least = asked.min_strength if asked.min_strength is not None else least_strength(terms)
        query = replace(query, terms=terms, min_strength=least)
        ranked = library.rank(query, told)
        note = ""
        if not ranked and query.where is not None and told.passed == 0:
            note = why_none(library.passing, query.where)
        ranking = ranking_of(
            "", ranked, revision, by_date=not terms, note=note, complete=len(ranked) < query.limit
        )
        return library_folded(library, ranking) if asked.unique and terms else ranking


def _all_terms(library: Library, known: Sequence[Term], asked: Asked) -> list[Term]:
    """The terms with those pictures that are named by their ids."""
    weight = LIKE_WEIGHT if known else 1.0
    terms = [*known, *(library.picture_term(each, weight) for each in asked.like)]
    terms += [library.picture_term(each, -1.0) for each in asked.unlike]
    if not (asked.good or asked.bad):
        return terms
    good, bad = (
        [term.vector for each in ids if (term := library.picture_term(each)).vector is not None]
        for ids in (asked.good, asked.bad)
    )
    return refined(terms, good, bad)


def library_folded(library: Library, ranking: Ranking) -> Ranking:
    """The ranking with each picture's near-identical ones folded into the best of them."""
    from imgsearch.searching.duplicates import folded_places

    index = library.searcher.index
    places = folded_places(ranking.ids, index, near_identical(index.space.model))
    first = sorted(places)
    ids = ranking.ids[first]
    return replace(
        ranking,
        ids=ids,
        scores=ranking.scores[first],
        strengths=ranking.strengths[first],
        named=ranking.named[first],
        folded={
            int(ranking.ids[place]): ranking.ids[others].tolist()
            for place, others in places.items()
            if others
        },
    )
