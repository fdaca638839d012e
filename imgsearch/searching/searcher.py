"""Answers requests: terms to vectors, the ranking, the pictures."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from imgsearch.errors import ImgSearchError, QueryError
from imgsearch.filters.fields import MEASURED
from imgsearch.filters.options import why_none
from imgsearch.filters.tree import subjects
from imgsearch.indexing.index_files import IndexFiles, sync
from imgsearch.indexing.references import ABSENT, BEST
from imgsearch.ports import Encoder, ExplainingEncoder, VectorIndex
from imgsearch.records import ImageRecord, QueryReading, clamped
from imgsearch.searching import history
from imgsearch.searching.abstention import Gate
from imgsearch.searching.candidates import Candidates, is_weak
from imgsearch.searching.duplicates import (
    MAX_FOLDED_PLACES,
    fold,
    fold_parts,
    near_identical,
    vectors_of,
)
from imgsearch.searching.federation import ModelRanking, federate
from imgsearch.searching.feedback import refined
from imgsearch.searching.hits import SCORE_DIGITS, Hit, Ranking, SearchResult
from imgsearch.searching.notes import (
    clusters_note,
    damaged_note,
    gone_note,
    instruction_note,
    measures_note,
    reading_notes,
    script_note,
)
from imgsearch.searching.place_reading import PlaceReading, place_reading
from imgsearch.searching.presence import Presence
from imgsearch.searching.query_hints import query_hints
from imgsearch.searching.request import (
    MIN_STRENGTH_OF_ANSWERS,
    SearchRequest,
    Term,
)
from imgsearch.searching.strength import Scale, footing, query_scale
from imgsearch.searching.term_vectors import encode_term, with_pixels
from imgsearch.searching.terms import EMPTY_QUERY
from imgsearch.searching.trace import Trace
from imgsearch.settings import Settings
from imgsearch.sources.decoders import DecodeSettings
from imgsearch.spaces import Spaces, no_pictures
from imgsearch.vectors import Embeddings, EmbeddingSpace, Ids, Matches, combine

if TYPE_CHECKING:
    from imgsearch.catalog import Catalog

FUSION_DEPTH = 1000
"""Places of the ranking by meaning that are fused with the ranking by words."""
MAX_PARTS = 2
"""Files of a shot beside the one that is shown: RAW and HEIC of a JPEG."""
TIED_PLACES = 32
"""Places to rank beyond the requested ones: copies have equal scores."""
MAX_WORD_MATCHES = 10_000
"""Maximum number of pictures ranked by words: the best of those that pass."""
MAX_SORTED_PLACES = 10_000
"""Maximum number of best places that are sorted in another order."""
MAX_GONE_IMAGES = 20_000
"""Maximum number of absent pictures left out of one search; later ones may be shown."""


class Searcher:
    """Answers requests over one library, in the space in use. It writes only the index
    file, if that is missing or far behind, and the last search."""

    def __init__(
        self, settings: Settings, catalog: Catalog, spaces: Spaces, index_files: IndexFiles
    ) -> None:
        self._settings, self._catalog = settings, catalog
        self._spaces, self._index_files = spaces, index_files
        self._index: VectorIndex | None = None
        self._partners: dict[str, Searcher] = {}

    # The index

    @property
    def index(self) -> VectorIndex:
        """The index of the space in use, opened when first needed.

        Opening may write its file, and must see the latest state: not within a snapshot.
        """
        if self._index is None:
            self._index = self._index_files.for_search(self._spaces.searchable())
        return self._index

    @property
    def space(self) -> EmbeddingSpace:
        """The space that is searched."""
        return self.index.space

    def encoder(self) -> Encoder:
        """The encoder of the space, loaded once."""
        return self._spaces.encoder_for(self.space)

    def refresh(self) -> None:
        """Catch the index up with the catalog."""
        sync(self._catalog, self.index)

    def renew(self) -> None:
        """Close the index if another space is in use now."""
        if self._index is not None:
            with self._catalog.snapshot():
                space = self._spaces.searchable()
            if space != self._index.space:
                self._index = None

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """A context in which all searches see one state of the library, which is read only once.

        Nothing is held if the index is not open yet.
        """
        with nullcontext() if self._index is None else self._catalog.snapshot():
            yield

    # Searches

    def search(self, request: SearchRequest, trace: Trace | None = None) -> SearchResult:
        """The best pictures for a request; pictures with equal scores by path.

        With a filter they are the best of those that pass it; cut-offs apply afterwards.

        Raises
        ------
        QueryError
            A request that cannot be answered: a picture that cannot be read, excluding terms only,
            or a library without pictures.
        SpaceMismatch
            The model has changed since pictures were indexed with it.
        """
        trace = trace or Trace()
        partners, partner_notes = self._partner_rankings(request, trace)
        with self._ready(request, trace):
            resolved, notes = self._resolve(request)
            presence, deep = self._presence(), replace(resolved, limit=_depth(request))
            ranking = self._present(deep, presence, request.limit, trace, partners)
            with trace.step("fetch"):
                hits = self.fetch(ranking, 0, request.limit)
        if not resolved.terms and not trace.total:
            raise no_pictures()
        notes += partner_notes
        notes += self._left_out(presence)
        notes += self._waiting(request)
        if request.is_reordered and resolved.terms and not ranking.complete:
            count = max(deep.limit, MAX_SORTED_PLACES)
            notes.append(f"Sorted are the best {count} pictures; there are more.")
        if request.remember:
            notes += self._remember(resolved, trace, hits)
        if trace.passed != 0:
            notes += ranking.notes
        if trace.passed != 0 and request.mode != "text":
            notes += self._notes(resolved, trace)
        text = " ".join(term.text for term in resolved.terms if term.text)
        return SearchResult(hits, notes, ranking.note, text, trace)

    def _waiting(self, request: SearchRequest) -> list[str]:
        """Notes on pictures for which the filter cannot be decided yet."""
        named = subjects(request.where) | {request.sort.removeprefix("-")}
        notes = []
        if "cluster" in named and (count := self._catalog.unclustered()):
            notes.append(clusters_note(count))
        if named & set(MEASURED) and (count := self._catalog.unmeasured_count()):
            notes.append(measures_note(count))
        return notes

    def rank(self, request: SearchRequest, trace: Trace | None = None, shown: int = 0) -> Ranking:
        """The ids that `search` would find, in the same order, for rankings of many thousands.

        A request without terms lists the library, and may be empty.

        Parameters
        ----------
        shown : int
            Number of hits shown first: among these, pictures that are gone from disk are left out,
            with a note.
        """
        trace = trace or Trace()
        partners, notes = self._partner_rankings(request, trace)
        with self._ready(request, trace):
            resolved = self._resolve(request)[0]
            if shown:
                presence = self._presence()
                ranking = self._present(resolved, presence, shown, trace, partners)
                notes += self._left_out(presence)
            else:
                ranking = self._folded(request, self._rank(resolved, trace, partners), trace)
            return replace(
                ranking,
                notes=(*ranking.notes, *notes),
                source=_with_vectors(resolved, trace),
                space=self.space if trace.vectors else None,
            )

    def fetch(self, ranking: Ranking, start: int, limit: int, duplicates: bool = True) -> list[Hit]:
        """The hits of some places of a ranking.

        Parameters
        ----------
        duplicates : bool
            Also look up the pictures that were folded into them.
        """
        ids = ranking.page_ids(start, limit)
        if duplicates:
            ids += ranking.copy_ids(start, limit)
        parts = [part for each in ids for part in ranking.part_ids(each)]
        named = ranking.named_ids(start, limit)
        places = self._catalog.word_places(ranking.words, named) if named else {}
        return ranking.hits(self._catalog.get([*ids, *parts]), start, limit, places)

    def page(self, ranking: Ranking, start: int, limit: int) -> list[Hit]:
        """The hits of some places of a ranking that are still on disk; others leave gaps."""
        hits = self.fetch(ranking, start, limit, duplicates=False)
        gone = self._presence().look({hit.image.id: hit.image.file.location for hit in hits})
        return [hit for hit in hits if hit.image.id not in gone]

    def parts(self, image_id: int) -> list[ImageRecord]:
        """The other files of the same shot, such as the RAW of a JPEG."""
        with self._catalog.snapshot():
            ids = [
                each
                for each in self._catalog.shots([image_id]).get(image_id, ())
                if each != image_id
            ]
            records = self._catalog.get(ids)
        return [records[each] for each in ids if each in records]

    def _presence(self) -> Presence:
        return Presence(self._catalog.roots(counted=False))

    def _present(
        self,
        request: SearchRequest,
        presence: Presence,
        shown: int,
        trace: Trace,
        partners: Sequence[ModelRanking] = (),
    ) -> Ranking:
        """The ranking of a resolved request, without pictures that are gone from disk.

        Only places that are shown are looked up, and the following ones replace pictures that are
        gone. If many are gone, more places are looked up at a time.
        """
        ranking, places = self._rank(request, trace, partners), shown
        while True:
            folded = self._folded(request, ranking, trace)
            with trace.step("look"):
                # Whole records, so that damaged ones are counted before the notes are written.
                records = self._catalog.get(folded.page_ids(0, places))
                files = {each.id: each.file.location for each in records.values()}
                copies = self._catalog.locations(folded.copy_ids(0, places))
                gone = presence.look(files | copies)
            if gone and len(presence.ids) <= MAX_GONE_IMAGES:
                places = min(2 * places, MAX_GONE_IMAGES)
                ranking = ranking.without(presence.ids)
            elif len(folded) >= shown or ranking.complete or not presence.ids:
                return folded
            else:
                request = replace(request, limit=2 * request.limit + len(presence.ids))
                ranking = self._rank(request, trace, partners).without(presence.ids)

    @contextmanager
    def _ready(self, request: SearchRequest, trace: Trace) -> Iterator[None]:
        """The index open, if the request needs it, and one state of the library."""
        if request.needs_model or request.unique:
            with trace.step("open"):
                try:
                    _ = self.index
                except ImgSearchError:  # nothing is indexed with the model in use, or it is busy
                    if request.needs_model:
                        raise
        with self._catalog.snapshot():
            yield

    # Terms

    def _resolve(self, request: SearchRequest) -> tuple[SearchRequest, list[str]]:
        """The request with pixels or vectors in place of the sources of pictures, and with its
        feedback applied; notes for the user."""
        notes: list[str] = []
        if request.mode == "text":
            _require_words(request)
        judged = (*request.good, *request.bad)
        refers_back = any(term.result is not None for term in (*request.terms, *judged))
        last = self._last_search() if refers_back else None
        terms = [self._resolved(term, last) for term in request.terms]
        if request.good or request.bad:
            good, bad = (
                [self._stored(term, last) for term in terms_]
                for terms_ in (request.good, request.bad)
            )
            if not terms and last is not None:
                terms = last.terms_for(self.space)
                words = ", ".join(term.text for term in terms if term.text and term.weight > 0)
                notes.append(f"Refining the last search{': ' + words if words else ''}.")
            terms = refined(terms, good, bad)
        instruction = request.instruction
        if instruction is None:
            instruction = self._settings.instruction
        return replace(request, terms=terms, good=(), bad=(), instruction=instruction), notes

    def _resolved(self, term: Term, last: history.LastSearch | None) -> Term:
        """A term with a vector that is known, or with pixels."""
        if term.image_id is not None or (term.result is not None and not term.fused):
            return term.resolved(vector=self._stored(term, last))
        if term.result is not None:
            term = replace(term, path=self._result(term.result, last).file.absolute)
        if term.path is not None and not term.fused:
            vector = self._vector_of_file(term.path)
            if vector is not None:
                return term.resolved(vector=vector)
        if term.path is None and term.data is None:
            return term
        size = self.encoder().input_size
        return with_pixels(term, DecodeSettings(size, max_pixels=self._settings.max_pixels))

    def _stored(self, term: Term, last: history.LastSearch | None) -> Embeddings:
        """The vector of a picture of the library."""
        if term.vector is not None:
            return term.vector
        if term.image_id is not None:
            vector = self._catalog.vector(self.space, term.image_id)
            if vector is None:
                raise QueryError(
                    f"there is no picture {term.image_id} that can be searched with",
                    "It may have left the library: search again.",
                )
            return vector
        assert term.result is not None
        record = self._result(term.result, last)
        vector = self._catalog.vector(self.space, record.id)
        if vector is None:
            raise QueryError(
                f"result #{term.result}, {record.file.absolute}, has not been indexed with"
                f" {self.space.model}",
                f"Index with it: imgsearch index --model {self.space.model}",
            )
        return vector

    def result(self, rank: int) -> ImageRecord:
        """The picture of a result of the last search, from 1; raises `QueryError`."""
        return self._result(rank, self._last_search())

    def _result(self, rank: int, last: history.LastSearch | None) -> ImageRecord:
        if last is None:
            raise history.no_last_search(f"result #{rank}")
        return last.image(rank, self._catalog)

    def _last_search(self) -> history.LastSearch | None:
        return history.load(self._catalog.folder, self._catalog.uuid)

    def _vector_of_file(self, path: str) -> Embeddings | None:
        """The vector of a file that is indexed and has not changed since."""
        try:
            status = os.stat(path)
        except (OSError, ValueError):  # not there, or not a path
            return None
        record = self._catalog.locate(os.path.realpath(path))
        state = status.st_size, clamped(status.st_mtime_ns)
        if record is None or state != record.file.state:
            return None
        return self._catalog.vector(self.space, record.id)

    # Rankings

    def _partner_rankings(
        self, request: SearchRequest, trace: Trace
    ) -> tuple[list[ModelRanking], list[str]]:
        """The rankings of a federated request by the other models of the library, and notes on the
        models that cannot rank it."""
        rankings: list[ModelRanking] = []
        notes: list[str] = []
        if not request.federated or not request.needs_model or request.mode == "text":
            return rankings, notes
        others = self._spaces.others()
        if not others:
            return [], ["The library has vectors of one model only; there is nothing to fuse."]
        terms = [replace(term, vector=None) if term.text else term for term in request.terms]
        if any(term.vector is not None for term in terms):  # of a picture, in the space in use
            return rankings, notes
        alone = replace(
            request, terms=terms, federated=False, unique=False, apart=True, sort="",
            remember=False, limit=max(request.limit, FUSION_DEPTH),
        )  # fmt: skip
        with trace.step("federate"):
            for spaces in others:
                partner = self._partner(spaces)
                try:
                    rankings.append(ModelRanking(partner.rank(alone), partner.index))
                except ImgSearchError as error:
                    notes.append(f"{spaces.model} takes no part in this search: {error}.")
        return rankings, notes

    def _partner(self, spaces: Spaces) -> Searcher:
        partner = self._partners.get(spaces.model)
        if partner is None:
            partner = Searcher(self._settings, self._catalog, spaces, self._index_files)
            self._partners[spaces.model] = partner
        partner.renew()
        return partner

    def _rank(
        self, request: SearchRequest, trace: Trace, partners: Sequence[ModelRanking] = ()
    ) -> Ranking:
        """The ranking of a resolved request, fused with those of other models, in the snapshot of
        the caller."""
        if partners:
            limit = max(request.limit, FUSION_DEPTH)
            own = self._rank(replace(request, limit=limit), trace)
            return federate([ModelRanking(own, self.index), *partners], request.limit)
        gate = self._gate(request)
        if gate is not None:
            request = replace(request, min_strength=MIN_STRENGTH_OF_ANSWERS)
        if request.is_reordered and request.terms:
            request = replace(request, limit=max(request.limit, MAX_SORTED_PLACES))
        if not request.terms:
            matches = self._by_date(request, trace)
        elif request.mode == "text":
            matches = self._by_words(request, trace)
        else:
            matches = self._by_meaning(request, gate, trace)
        with trace.step("fetch"):
            ranking = matches.ranking(request, self._catalog.paths)
        if not len(ranking) and request.where is not None and trace.passed == 0:
            note = why_none(self._catalog.count, request.where)
            ranking = replace(ranking, note=note)
        return replace(ranking, revision=self._catalog.head()[0])

    def _folded(self, request: SearchRequest, ranking: Ranking, trace: Trace) -> Ranking:
        """The ranking with the files of a shot and near-identical pictures folded, and in another
        order, as requested."""
        with trace.step("fold"):
            if not request.apart:
                ids = ranking.page_ids(0, MAX_FOLDED_PLACES)
                ranking = fold_parts(ranking, self._catalog.shots(ids))
            if request.unique:
                ranking = self._without_copies(ranking)
        if ranking.by_date or not request.is_reordered:
            return ranking
        with trace.step("sort"):
            return self._sorted(ranking, request.sort)

    def _sorted(self, ranking: Ranking, sort: str) -> Ranking:
        places = {key: place for place, key in enumerate(ranking.ids.tolist())}
        order = [places[key] for key in self._catalog.ordered(list(places), sort)]
        return ranking.at(np.array(order, np.intp), ranking.folded)

    def _without_copies(self, ranking: Ranking) -> Ranking:
        ids = ranking.ids[:MAX_FOLDED_PLACES]
        if self._index is None:
            vectors, least = np.zeros((len(ids), 1), np.float32), 1.0
        else:
            self.refresh()
            vectors, least = vectors_of(self._index, ids), near_identical(self.space.model)
        unseen = ids[~vectors.any(axis=1)].tolist()
        hashes = {key: image.content_hash for key, image in self._catalog.get(unseen).items()}
        return fold(ranking, vectors, hashes, least)

    def _by_date(self, request: SearchRequest, trace: Trace) -> Candidates:
        """The pictures that pass the filter, newest first or as requested, whatever their model."""
        if request.sort == "score":
            raise QueryError(
                "a list without words or pictures has no scores to sort by",
                "Say what to look for, or sort by date, name or size.",
            )
        with trace.step("filter"):
            if request.where is not None:
                trace.passed = self._catalog.count(request.where)
            if request.where is None or trace.counted:
                trace.total = self._catalog.count()
        with trace.step("search"):
            sort = request.sort or "-date"
            ids = self._catalog.newest_ids(request.where, request.limit + 1, sort)
        trace.method = "the newest by date, from the catalog"
        if sort != "-date":
            trace.method = f"sorted by {sort}, from the catalog"
        passed = trace.total if trace.passed is None else trace.passed
        return Candidates({}, {}, by_date=ids, matching=passed)

    def _by_words(self, request: SearchRequest, trace: Trace) -> Candidates:
        """The pictures that have all words of the query, whatever their model."""
        allowed: Ids | None = None
        with trace.step("filter"):
            trace.total = self._catalog.count()
            if request.where is not None:
                allowed = self._catalog.select(request.where)
                trace.passed = len(allowed)
        if not trace.total:
            raise no_pictures()
        trace.method = "by words, from the catalog"
        with trace.step("words"):
            named = self._named(request, allowed, trace)
            return Candidates({}, named, notes=_reading_note(trace.place))

    def _gate(self, request: SearchRequest) -> Gate | None:
        """The gate for a query; None if it has none, or the library has no reference scores."""
        if not request.may_abstain:
            return None
        references = self._catalog.references(self.space)
        if BEST not in references:
            return None
        best, absent = references[BEST], references.get(ABSENT)
        return Gate(best, absent, self.encoder, request.max_false_matches)

    def _by_meaning(self, request: SearchRequest, gate: Gate | None, trace: Trace) -> Candidates:
        """The pictures near the query in the model's space and, in hybrid mode, named like it."""
        with trace.step("open"):
            self.refresh()
        if not len(self.index):
            raise no_pictures()
        allowed = self._allowed(request, trace)
        if trace.passed == 0:
            return Candidates({}, {})  # before a model is loaded for nothing
        with trace.step("words"):
            named = self._named(request, allowed, trace)
        with trace.step("encode"):
            vector, scale = self.embed(request, trace)
            readings = self._readings(request, explain_all=gate is not None)
        if gate is not None and readings and not any(each.understood for each in readings.values()):
            notes = _reading_note(trace.place) + reading_notes(readings, True, bool(named))
            return Candidates({}, named, scale, notes=notes)
        with trace.step("search"):
            depth = max(request.limit, FUSION_DEPTH) if named else request.limit
            weak = partial(is_weak, request, scale) if not named else _never
            scores = self._nearest(vector, depth, allowed, trace, weak)
            refused = gate is not None and not gate.opens(
                vector, max(scores.values(), default=-1.0)
            )
            if refused:
                scores = {}
            notes = _reading_note(trace.place) + reading_notes(readings, refused, bool(named))
            if not named:
                return Candidates(scores, {}, scale, notes=notes)
            ids = np.array(sorted(named), np.int64)
            scores_of_named = _by_id(self.index.search(vector, len(ids), ids))
            fused = scores_of_named | _first(scores, FUSION_DEPTH)
        named = {key: named[key] for key in named if key in fused}
        return Candidates(fused | scores, named, scale, fused=fused, notes=notes)

    def _readings(self, request: SearchRequest, explain_all: bool) -> dict[str, QueryReading]:
        """The model's readings of the texts of the query, if it can explain them.

        Texts whose vectors are known are left out unless `explain_all`: then no model is loaded.
        """
        terms = [term for term in request.terms if term.text]
        texts = [term.text or "" for term in terms if explain_all or term.vector is None]
        if not texts:
            return {}
        encoder = self.encoder()
        if not isinstance(encoder, ExplainingEncoder):
            return {text: QueryReading(text) for text in texts}
        return {text: encoder.explain(text) for text in texts}

    def _allowed(self, request: SearchRequest, trace: Trace) -> Ids | None:
        """Ids of the index that pass the filter; None for all of them."""
        trace.total = len(self.index)
        if request.where is None:
            return None
        with trace.step("filter"):
            # The index holds just those of the pictures that have a vector in its space.
            allowed = self.index.among(self._catalog.select(request.where))
        trace.passed = len(allowed)
        return allowed

    def _named(self, request: SearchRequest, allowed: Ids | None, trace: Trace) -> dict[int, float]:
        """BM25 by id of the pictures that have the words of the query, the best of `allowed`;
        pictures from a place that the query names count like the best of them."""
        if not request.words or request.mode == "semantic":
            return {}
        named = dict(self._catalog.with_words(request.words, MAX_WORD_MATCHES, allowed))
        trace.place = place_reading(request, self._catalog.known_places)
        if trace.place is not None:
            there = self._catalog.select(trace.place.where)
            there = there if allowed is None else np.intersect1d(there, allowed)
            named |= dict.fromkeys(
                there[-MAX_WORD_MATCHES:].tolist(), max(named.values(), default=1.0)
            )
        return named

    def embed(
        self, request: SearchRequest, trace: Trace | None = None
    ) -> tuple[Embeddings, Scale | None]:
        """The terms as one vector of shape (1, dimension), float32, unit norm, and the scale of its
        scores, None if the library has no reference scores."""
        if not request.terms:
            raise QueryError(*EMPTY_QUERY)
        references = self._catalog.references(self.space)
        modalities = [term.modality for term in request.terms]
        factors = footing(references, modalities)
        weights = [term.weight * each for term, each in zip(request.terms, factors, strict=True)]
        vectors = [self._embed_term(term, request.instruction or None) for term in request.terms]
        vector = combine(vectors, weights)
        if trace is not None:
            trace.vectors = vectors
        likeness = [float(vector[0] @ each) for each in vectors]
        return vector, query_scale(references, modalities, weights, likeness)

    def _embed_term(self, term: Term, instruction: str | None) -> Embeddings:
        if term.vector is not None:
            return term.vector
        return encode_term(self.encoder(), term, instruction)

    def _nearest(
        self,
        vector: Embeddings,
        limit: int,
        allowed: Ids | None,
        trace: Trace,
        weak: Callable[[float], bool],
    ) -> dict[int, float]:
        """The best `limit` scores by id, and with them all that equal the last one, unless weak."""
        extra = TIED_PLACES
        while True:
            matches = self.index.search(vector, limit + extra, allowed)
            trace.method = matches.method
            scores = _by_id(matches)
            values = list(scores.values())
            if len(scores) < limit + extra or values[-1] < values[limit - 1]:
                return scores
            if weak(values[-1]):
                return scores
            extra *= 4

    # Notes

    def _left_out(self, presence: Presence) -> list[str]:
        """Notes on pictures that could not be looked up, are gone, or have a damaged row."""
        notes = list(presence.notes)
        if presence.ids:
            notes.append(gone_note(len(presence.ids)))
        if damaged := self._catalog.damaged:
            notes.append(damaged_note(damaged))
        return notes

    def _remember(self, request: SearchRequest, trace: Trace, hits: Sequence[Hit]) -> list[str]:
        """Keep a search for the next one to refer to; a note if an older one stays."""
        catalog, terms = self._catalog, request.terms
        spaced = bool(trace.vectors) or any(term.vector is not None for term in terms)
        space = self.space if spaced else None
        last = history.from_search(catalog.uuid, space, terms, trace.vectors, hits)
        kept = history.save(catalog.folder, last)
        if kept or not os.path.isfile(os.path.join(catalog.folder, history.FILE)):
            return []
        return ["This search could not be kept: '#1' and --more still mean an earlier one."]

    def _notes(self, request: SearchRequest, trace: Trace) -> list[str]:
        if not request.instruction and not any(term.text for term in request.terms):
            return []
        try:
            card = self._spaces.card(self.space)
        except ImgSearchError:  # a search that could do without the model does without its card
            return []
        hints = query_hints(request, read=trace.place is not None)
        notes = [script_note(card, request.terms), *hints]
        if request.instruction:
            notes.append(instruction_note(card, request.terms))
        return [note for note in notes if note]


def _depth(request: SearchRequest) -> int:
    """Number of places to rank, so that enough remain after folding."""
    places = request.limit * (1 if request.apart else 1 + MAX_PARTS)
    return places + (MAX_FOLDED_PLACES if request.unique else 0)


def _require_words(request: SearchRequest) -> None:
    words = all(term.modality == "text" and term.weight >= 0 for term in request.terms)
    if not words or request.good or request.bad:
        raise QueryError(
            "names, captions and texts are searched for words only, and the query has a picture or"
            " an excluded term",
            "Leave out --mode text, or everything but words.",
        )


def _with_vectors(request: SearchRequest, trace: Trace) -> SearchRequest:
    """A resolved request with those vectors of its terms that were needed."""
    if not trace.vectors:
        return request
    terms = [
        term.resolved(vector=vector)
        for term, vector in zip(request.terms, trace.vectors, strict=True)
    ]
    return replace(request, terms=terms)


def _reading_note(reading: PlaceReading | None) -> tuple[str, ...]:
    return () if reading is None else (reading.note,)


def _never(score: float) -> bool:
    return False


def _first(scores: dict[int, float], count: int) -> dict[int, float]:
    """The best `count` of scores that are in order, and all that equal the last of them."""
    if len(scores) <= count:
        return scores
    least = list(scores.values())[count - 1]
    return {key: score for key, score in scores.items() if score >= least}


def _by_id(matches: Matches) -> dict[int, float]:
    """The scores of the first query, best first."""
    scores = np.round(matches.scores[0].astype(float), SCORE_DIGITS)
    return dict(zip(matches.ids[0].tolist(), scores.tolist(), strict=True))
