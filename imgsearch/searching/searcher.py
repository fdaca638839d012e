"""Query to hits: encode the terms, combine them, search the index, look up the pictures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from imgsearch.errors import EncoderError, ImgSearchError, QueryError
from imgsearch.ports import Catalog, Encoder, FusedEncoder, VectorIndex
from imgsearch.records import Hit, ImageRecord, Query, Ranked, Term
from imgsearch.searching.fusion import fuse
from imgsearch.searching.strength import Scale, footing, query_scale
from imgsearch.searching.trace import Explanation
from imgsearch.vectors import Embeddings, Ids, Matches, combine

DIGITS = 6
"""Scores that agree to so many digits count as equal, and are ordered by path."""
DEPTH = 1000
"""How far down the ranking by meaning goes that is fused with one by words."""
MOST = 10_000
"""Pictures that have the words of a query and are looked at: the best of those that pass."""
WORDS_WEIGHT = 2.0
"""Of the ranking by words in the fusion. Those pictures have all words of the query in their names,
captions or texts: dozens of them come before any other, however little they look like it."""


@dataclass(slots=True)
class Searcher:
    """Answers queries over one embedding space of a library. It never writes.

    Attributes
    ----------
    refresh : callable
        Brings `index` up to the catalog; called within the snapshot that the hits come from.
    encoder : callable
        Gives the encoder of `index.space`; called only when a term has no vector yet.
    """

    catalog: Catalog
    index: VectorIndex
    refresh: Callable[[], object]
    encoder: Callable[[], Encoder]

    def search(self, query: Query, told: Explanation | None = None) -> list[Hit]:
        """The best pictures for the query; equal ones by path.

        With a filter they are the best of those that pass, and there are as many as asked for if
        so many pass; `min_score` and `min_strength` are applied to them afterwards.

        Raises
        ------
        QueryError
            The query is empty or has only negative terms, or the library has no pictures.
        """
        told = told or Explanation()
        with self.catalog.snapshot():
            found = self._find(query, told)
            with told.step("fetch"):
                records = self.catalog.get(list(found.order))
        return found.hits(records, query)

    def rank(self, query: Query, told: Explanation | None = None) -> list[Ranked]:
        """As `search`, and in the same order, but only those pictures are looked up whose order
        their paths decide: for rankings of many thousands."""
        told = told or Explanation()
        with self.catalog.snapshot():
            found = self._find(query, told)
            with told.step("fetch"):
                return found.ranked(query, self.catalog.get)

    def _find(self, query: Query, told: Explanation) -> Found:
        """What a search finds, in the snapshot that it is called in."""
        _require_terms(query)
        if query.mode == "text":
            return _find_words(self.catalog, query, told)
        with told.step("open"):
            self.refresh()
        if not len(self.index):
            raise _no_pictures()
        allowed = self._allowed(query, told)
        if told.passed == 0:
            return Found({}, {})  # before a model is loaded for nothing
        with told.step("words"):
            named = {} if query.mode == "semantic" else _named(self.catalog, query, allowed)
        return self._meant(query, allowed, named, told)

    def _meant(
        self, query: Query, allowed: Ids | None, named: Mapping[int, float], told: Explanation
    ) -> Found:
        """What is near the query in the model's space, and what is named like it."""
        with told.step("encode"):
            vector, scale = self.embed(query, told)
        with told.step("search"):
            depth = max(query.limit, DEPTH) if named else query.limit
            scores = self._best(vector, depth, allowed, told)
            if named:
                ids = np.array(sorted(named), np.int64)
                more = self.index.search(vector, len(ids), ids)
                scores = _by_id(more) | scores
        return Found(scores, {key: named[key] for key in named if key in scores}, scale)

    def embed(
        self, query: Query, told: Explanation | None = None
    ) -> tuple[Embeddings, Scale | None]:
        """The query as one unit vector of shape (1, dimension), and what its scores mean."""
        _require_terms(query)
        references = self.catalog.references(self.index.space)
        modalities = [term.modality for term in query.terms]
        factors = footing(references, modalities)
        weights = [term.weight * each for term, each in zip(query.terms, factors, strict=True)]
        vectors = [self._embed_term(term, query.instruction) for term in query.terms]
        vector = combine(vectors, weights)
        if told is not None:
            told.vectors = vectors
        likeness = [float(vector[0] @ each) for each in vectors]
        return vector, query_scale(references, modalities, weights, likeness)

    def _embed_term(self, term: Term, instruction: str | None) -> Embeddings:
        if term.vector is not None:
            return term.vector
        encoder = self.encoder()
        self.index.space.require(encoder.space)
        return encode_term(encoder, term, instruction)

    def _allowed(self, query: Query, told: Explanation) -> Ids | None:
        """Ids of the index that pass the filter; None for all of them."""
        told.total = len(self.index)
        if query.where is None:
            return None
        with told.step("filter"):
            # The index holds just those of the pictures that have a vector in its space.
            ids = self.index.ids()
            allowed = _both(ids, self.catalog.select(query.where))
        told.passed = len(allowed)
        return allowed

    def _best(
        self, vector: Embeddings, limit: int, allowed: Ids | None, told: Explanation
    ) -> dict[int, float]:
        """The best `limit` scores by id, and with them all that equal the last one."""
        wanted = limit + 1
        while True:
            matches = self.index.search(vector, wanted, allowed)
            told.method = matches.method
            scores = _by_id(matches)
            values = list(scores.values())
            if len(scores) < wanted or values[-1] < values[limit - 1]:
                return scores
            wanted *= 2


@dataclass(frozen=True, slots=True)
class Found:
    """What a search has found, by id, before the pictures themselves are looked up.

    Attributes
    ----------
    scores : mapping of id to inner product
        In a search by words alone empty.
    named : mapping of id to BM25
        Pictures whose names, captions or texts have the words of the query.
    """

    scores: Mapping[int, float]
    named: Mapping[int, float]
    scale: Scale | None = None

    @property
    def order(self) -> Mapping[int, float]:
        """What the ranking goes by: the fusion of both, where there are both."""
        if self.scores and self.named:
            return fuse([self.scores, self.named], [1.0, WORDS_WEIGHT])
        return self.scores or self.named

    def hits(self, records: Mapping[int, ImageRecord], query: Query) -> list[Hit]:
        """The best pictures that were found, are there, and are not too weak for the query."""
        order = self.order

        def place(image: ImageRecord) -> tuple[float, float, str]:
            return -order[image.id], -self.scores.get(image.id, 0.0), image.file.absolute

        hits: list[Hit] = []
        for image in sorted(records.values(), key=place):
            found = self._ranked(image.id)
            if _passes(found, query):
                hits.append(found.hit(len(hits) + 1, image))
        return hits[: query.limit]

    def ranked(
        self, query: Query, get: Callable[[list[int]], Mapping[int, ImageRecord]]
    ) -> list[Ranked]:
        """The ids of `hits`, in their order; `get` looks up the pictures that tie."""
        order = self.order
        ties: dict[tuple[float, float], list[Ranked]] = defaultdict(list)
        for key in order:
            found = self._ranked(key)
            if _passes(found, query):
                ties[-order[key], -(found.score or 0.0)].append(found)
            elif not self.named:
                break  # the best come first, and those that follow are no stronger
        ranked: list[Ranked] = []
        for place in sorted(ties):
            if len(ranked) >= query.limit:
                break
            group = ties[place]
            if len(group) > 1:
                records = get([each.id for each in group])
                group = [each for each in group if each.id in records]
                group.sort(key=lambda each: records[each.id].file.absolute)
            ranked += group
        return ranked[: query.limit]

    def _ranked(self, image_id: int) -> Ranked:
        score = self.scores.get(image_id)
        strength = None
        if self.scale is not None and score is not None:
            strength = self.scale.strength(score)
        return Ranked(image_id, score, strength, named=image_id in self.named)


def by_words(catalog: Catalog, query: Query, told: Explanation) -> list[Hit]:
    """The pictures that pass and have all words of the query in names, captions or texts.

    It asks no index and no model, and takes in pictures that no model has seen yet.
    """
    with catalog.snapshot():
        found = _find_words(catalog, query, told)
        with told.step("fetch"):
            records = catalog.get(list(found.order))
    return found.hits(records, query)


def ranked_by_words(catalog: Catalog, query: Query, told: Explanation) -> list[Ranked]:
    """As `by_words`, but only those pictures are looked up whose order their paths decide."""
    with catalog.snapshot():
        found = _find_words(catalog, query, told)
        with told.step("fetch"):
            return found.ranked(query, catalog.get)


def _find_words(catalog: Catalog, query: Query, told: Explanation) -> Found:
    """What has the words of the query; the caller holds a snapshot."""
    _require_words(query)
    allowed: Ids | None = None
    with told.step("filter"):
        told.total = catalog.count()
        if query.where is not None:
            allowed = catalog.select(query.where)
            told.passed = len(allowed)
    if not told.total:
        raise _no_pictures()
    told.method = "by words, from the catalog"
    with told.step("words"):
        return Found({}, _named(catalog, query, allowed))


def _named(catalog: Catalog, query: Query, allowed: Ids | None) -> dict[int, float]:
    """BM25 by id of the pictures that have the words of the query, the best `MOST` of `allowed`."""
    words = [term.text for term in query.terms if term.text and term.weight > 0]
    return dict(catalog.with_words(" ".join(words), MOST, allowed)) if words else {}


def by_date(catalog: Catalog, query: Query, told: Explanation) -> list[Hit]:
    """The pictures that pass the filter of a query without terms, newest first, without scores.

    It asks no index and no model, and takes in pictures that no model has seen yet.
    """
    with catalog.snapshot():
        with told.step("filter"):
            told.total, told.passed = catalog.count(), catalog.count(query.where)
        if not told.total:
            raise _no_pictures()
        with told.step("fetch"):
            found = catalog.newest(query.where, query.limit)
    told.method = "the newest by date, from the catalog"
    return [Hit(rank, None, image) for rank, image in enumerate(found, start=1)]


def ranked_by_date(catalog: Catalog, query: Query, told: Explanation) -> list[Ranked]:
    """As `by_date`, without looking the pictures up; without a filter all of them."""
    with catalog.snapshot():
        with told.step("filter"):
            told.total = catalog.count()
            told.passed = None if query.where is None else catalog.count(query.where)
        with told.step("search"):
            found = catalog.newest_ids(query.where, query.limit)
    told.method = "the newest by date, from the catalog"
    return [Ranked(image_id, None) for image_id in found]


def _no_pictures() -> QueryError:
    return QueryError("the library has no pictures yet", "Add some: imgsearch index FOLDER")


def _require_terms(query: Query) -> None:
    if not query.terms:
        raise QueryError("the query is empty", "Say what to look for: imgsearch search a dog")


def _require_words(query: Query) -> None:
    if any(term.text is None or term.fused or term.weight < 0 for term in query.terms):
        raise QueryError(
            "names, captions and texts are searched for words only, and the query has a picture or"
            " something that is not wanted",
            "Leave out --mode text, or everything but words.",
        )


def encode_term(encoder: Encoder, term: Term, instruction: str | None = None) -> Embeddings:
    """One term as a unit vector of shape (dimension,)."""
    if term.image is None and not (term.text or "").strip():
        raise QueryError("the query is empty", "Say what to look for: imgsearch search a dog")
    try:
        if term.fused:
            rows = _encode_fused(encoder, term, instruction)
        elif term.image is not None:
            rows = encoder.encode_images([term.image])
        else:
            rows = encoder.encode_texts([term.text or ""], instruction)
    except ImgSearchError:
        raise
    except Exception as error:  # a device may be out of memory, or lack an operation
        raise EncoderError(
            f"the model cannot encode the query: {error}",
            "Try --device cpu or --precision fp32; 'imgsearch doctor' tells what is set up.",
        ) from error
    vector: Embeddings = rows[0]
    return vector


def _encode_fused(encoder: Encoder, term: Term, instruction: str | None) -> Embeddings:
    assert term.text is not None and term.image is not None
    if not isinstance(encoder, FusedEncoder):
        raise QueryError(
            f"{encoder.card.name} cannot read words and a picture in one",
            "Leave out --fused, and the two are added up; or index with a model that can, such as"
            " gme-qwen2-vl-2b: imgsearch index --model gme-qwen2-vl-2b",
        )
    return encoder.encode_fused([term.text], [term.image], instruction)


def similarity(
    encoder: Encoder, first: Term, second: Term, instruction: str | None = None
) -> float:
    """The inner product of two terms: text and image, two images, or two texts."""
    one, other = (encode_term(encoder, term, instruction) for term in (first, second))
    return float(one @ other)


def _by_id(matches: Matches) -> dict[int, float]:
    """The scores of the first query, best first."""
    scores = np.round(matches.scores[0].astype(float), DIGITS)
    return dict(zip(matches.ids[0].tolist(), scores.tolist(), strict=True))


def _both(ids: Ids, others: Ids) -> Ids:
    """Those of `others` that are among `ids`, of which there may be millions; both are sorted."""
    if len(others) * 16 > len(ids):
        return others[np.isin(others, ids)]
    places = np.searchsorted(ids, others).clip(max=max(0, len(ids) - 1))
    return others[ids[places] == others] if len(ids) else others[:0]


def _passes(hit: Ranked, query: Query) -> bool:
    """A hit whose strength is not known is kept: better too many than none."""
    strong = hit.strength is None or hit.named or hit.strength >= query.min_strength
    return strong and (hit.score is None or hit.score >= query.min_score)
