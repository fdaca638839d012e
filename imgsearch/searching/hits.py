"""Results of a search: a ranking of ids, hits with their pictures, and hits as plain values."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

from imgsearch.records import MEASURES, ImageFile, ImageMetadata, ImageRecord, Measures, camera_name
from imgsearch.searching.trace import Trace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from imgsearch.searching.notebook import Thumbnails
    from imgsearch.searching.request import SearchRequest
    from imgsearch.vectors import EmbeddingSpace, Ids

MEANING = "meaning"
"""In `Hit.matched`: the model found the picture, and not its words."""
STRONG_STRENGTH, POSSIBLE_STRENGTH = 0.5, 0.1
"""Strengths from which a match is strong, and possible; others are the closest guesses."""
STRENGTH_DIGITS = 3
SCORE_DIGITS = 6
"""Scores that agree to this many digits count as equal, and are ordered by path."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A picture found.

    Attributes
    ----------
    rank : int
        From 1.
    score : float or None
        The inner product with the query, -1 to 1; None if no model was used.
    image : ImageRecord
    strength : float or None
        An estimate, 0 to 1, of how likely the picture is a right answer (`searching.strength`);
        None while the library has no reference scores.
    named : bool
        Its name, its captions or the text in it have the words of the query.
    duplicates : tuple of ImageRecord or None
        Near-identical pictures folded into this one; None if the search folded nothing.
    parts : tuple of ImageRecord
        The other files of the same shot, such as the RAW of a JPEG.
    matched : tuple of str
        Why it was found: "name" and "text" (captions, text in the picture) have words of the query,
        "meaning" if the model finds it likely enough. Empty in a list by date.
    """

    rank: int
    score: float | None
    image: ImageRecord
    strength: float | None = None
    named: bool = False
    duplicates: tuple[ImageRecord, ...] | None = None
    matched: tuple[str, ...] = ()
    parts: tuple[ImageRecord, ...] = ()

    @property
    def path(self) -> str:
        """Absolute path of the file."""
        return self.image.file.absolute

    @property
    def reason(self) -> str:
        """Reason in one column: "name" or "text" if words found it, else its strength
        as a percentage, "" if unknown.

        Words take precedence over likeness, so a percentage beside them would contradict the ranks.
        """
        if self.named:
            return next((each for each in self.matched if each != MEANING), "name")
        return "" if self.strength is None else f"{100 * self.strength:.0f}%"

    @property
    def fit(self) -> str:
        """Its strength in a word: "strong", "possible" or "guess"; "" if unknown."""
        if self.strength is None:
            return ""
        if self.strength >= STRONG_STRENGTH:
            return "strong"
        return "possible" if self.strength >= POSSIBLE_STRENGTH else "guess"

    @property
    def why(self) -> str:
        """Why it was found, in words: "name, meaning (strong)"; "" in a list by date."""
        likeness = f"{MEANING} ({self.fit})" if self.fit else MEANING
        return ", ".join(likeness if each == MEANING else each for each in self.matched)


@dataclass(frozen=True, slots=True)
class Ranking:
    """The ids that a search found, best first.

    Attributes
    ----------
    ids : ndarray of shape (n,), int64
    scores, strengths : ndarray of shape (n,), float32
        NaN where there is none.
    named : ndarray of shape (n,), bool
    by_date : bool
        The request had no terms: newest first.
    complete : bool
        False if there are more than were ranked.
    matching : int or None
        Number of pictures found, ranked or not; None if it is not known.
    folded : mapping of id to ids, or None
        Ids that were folded into one of `ids`; None if the search folded nothing.
    note : str
        Why nothing passed the filter, in a sentence; "" otherwise.
    revision : int
        Revision of the catalog.
    notes : tuple of str
        Notes on the reading of the query.
    words : str
        The words that `named` pictures have.
    cut_off : float
        The strength from which a picture matches by meaning.
    parts : mapping of id to ids
        The other files of the shots of which several are in the library.
    source : SearchRequest or None
        The request that was ranked, with vectors in place of texts and pictures: to rank deeper.
    space : EmbeddingSpace or None
        The space of these vectors; None if no vectors were compared.
    """

    ids: Ids
    scores: NDArray[np.float32]
    strengths: NDArray[np.float32]
    named: NDArray[np.bool_]
    by_date: bool = False
    complete: bool = True
    folded: Mapping[int, Sequence[int]] | None = None
    note: str = ""
    revision: int = 0
    notes: tuple[str, ...] = ()
    words: str = ""
    cut_off: float = 0.0
    parts: Mapping[int, Sequence[int]] = field(default_factory=dict)
    matching: int | None = None
    source: SearchRequest | None = None
    space: EmbeddingSpace | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def total(self) -> int | None:
        """Number of pictures found; None if it is not known."""
        return len(self.ids) if self.complete else self.matching

    def page_ids(self, start: int, limit: int) -> list[int]:
        """Ids of the places from `start` on."""
        ids: list[int] = self.ids[start : start + limit].tolist()
        return ids

    def folded_ids(self, image_id: int) -> Sequence[int]:
        """Ids that were folded into this one, best first."""
        return (self.folded or {}).get(image_id, ())

    def part_ids(self, image_id: int) -> Sequence[int]:
        """Ids of the other files of the same shot."""
        return self.parts.get(image_id, ())

    def named_ids(self, start: int, limit: int) -> list[int]:
        """Ids of the places from `start` on that were found by words."""
        place = slice(start, start + limit)
        ids: list[int] = self.ids[place][self.named[place]].tolist()
        return ids

    def hits(
        self,
        records: Mapping[int, ImageRecord],
        start: int,
        limit: int,
        word_places: Mapping[int, tuple[str, ...]] | None = None,
    ) -> list[Hit]:
        """The hits of the places from `start` on, without pictures that left the library.

        Parameters
        ----------
        records : mapping of id to ImageRecord
            The pictures of these places. Only those that are here are listed as duplicates.
        word_places : mapping of id to texts
            Places of the words in the named pictures: `Catalog.word_places`.
        """
        word_places = word_places or {}
        hits = []
        for place in range(start, min(start + limit, len(self.ids))):
            image = records.get(int(self.ids[place]))
            if image is None:
                continue
            copies = None
            if self.folded is not None:
                ids = self.folded_ids(image.id)
                copies = tuple(records[each] for each in ids if each in records)
            score, strength = self.scores[place], self.strengths[place]
            hits.append(
                Hit(
                    place + 1,
                    _number(score, SCORE_DIGITS),
                    image,
                    _number(strength, SCORE_DIGITS),
                    bool(self.named[place]),
                    copies,
                    self._matched(place, word_places.get(image.id, ("name",))),
                    tuple(records[each] for each in self.part_ids(image.id) if each in records),
                )
            )
        return hits

    def _matched(self, place: int, word_places: tuple[str, ...]) -> tuple[str, ...]:
        if not self.named[place]:
            return () if self.by_date else (MEANING,)
        return (*word_places, MEANING) if self.strengths[place] >= self.cut_off else word_places

    def copy_ids(self, start: int, limit: int) -> list[int]:
        """Ids that were folded into the places from `start` on."""
        return [copy for each in self.page_ids(start, limit) for copy in self.folded_ids(each)]

    def without(self, ids: Collection[int]) -> Ranking:
        """The ranking without some ids; nothing is folded yet."""
        import numpy as np

        gone = np.isin(self.ids, np.fromiter(ids, np.int64, len(ids)))
        return self.at(np.flatnonzero(~gone), None)

    def at(self, places: NDArray[np.intp], folded: Mapping[int, Sequence[int]] | None) -> Ranking:
        """The ranking of some of its places, others folded into them."""
        return replace(
            self,
            ids=self.ids[places],
            scores=self.scores[places],
            strengths=self.strengths[places],
            named=self.named[places],
            folded=folded,
            matching=None,
        )

    def continued(self, deeper: Ranking) -> Ranking:
        """This ranking, and behind it the places that a deeper one of the same request has more.

        While the library stays the same, that is the deeper one. If it has changed, the places
        that a page has shown stay as they are, and no picture comes twice.
        """
        import numpy as np  # a search that a daemon answers does without

        if np.array_equal(deeper.ids[: len(self)], self.ids):
            return replace(deeper, revision=self.revision)
        hidden = (*(self.folded or {}).values(), *self.parts.values())
        known = [*self.ids.tolist(), *chain.from_iterable(hidden)]
        new = np.flatnonzero(~np.isin(deeper.ids, known))
        folded = None
        if self.folded is not None:
            folded = {**(deeper.folded or {}), **self.folded}
        return replace(
            deeper,
            ids=np.concatenate([self.ids, deeper.ids[new]]),
            scores=np.concatenate([self.scores, deeper.scores[new]]),
            strengths=np.concatenate([self.strengths, deeper.strengths[new]]),
            named=np.concatenate([self.named, deeper.named[new]]),
            folded=folded,
            parts={**deeper.parts, **self.parts},
            revision=self.revision,
        )


def _number(value: float, digits: int) -> float | None:
    """A float32 as the decimal number that it stands for; None for NaN."""
    return None if math.isnan(value) else round(float(value), digits)


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The hits of a search, best first, with notes.

    Attributes
    ----------
    hits : list of Hit
    notes : list of str
        Sentences for the user.
    why_empty : str
        The part of the filter that nothing passes; "" otherwise.
    text : str
        The words of the query.
    trace : Trace
        The steps of the search, and the time of each.
    thumbnails : callable or None
        Returns small copies of hits; a notebook shows them.
    """

    hits: list[Hit]
    notes: list[str] = field(default_factory=list)
    why_empty: str = ""
    text: str = ""
    trace: Trace = field(default_factory=Trace)
    thumbnails: Thumbnails | None = field(default=None, repr=False, compare=False)

    def to_plain(self) -> list[dict[str, Any]]:
        """The hits as values that JSON and data frames can hold.

        Returns
        -------
        list of dict
            One by `hit_to_plain` for each hit, in order.
        """
        return [hit_to_plain(hit) for hit in self.hits]

    def _repr_html_(self) -> str:
        """The first hits with small pictures, for a notebook."""
        from imgsearch.searching import notebook

        notes = [*self.notes, *([self.why_empty] if self.why_empty else [])]
        return notebook.page(self.hits, notes, self.thumbnails)

    def __len__(self) -> int:
        return len(self.hits)

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def __getitem__(self, place: int) -> Hit:
        return self.hits[place]


# Plain values


def hit_to_plain(hit: Hit) -> dict[str, Any]:
    """A hit as values that JSON can hold: `record_to_plain` of its picture, and its place.

    The one form of a hit outside of Python: `search --format json`, the HTTP API, MCP and the
    daemon choose from it.

    Parameters
    ----------
    hit : Hit

    Returns
    -------
    dict of str to Any
        `duplicates` are plain records, or None, and `parts` are plain records. Sizes are in pixels
        and bytes, times of files in ns, positions in degrees.
    """
    duplicates = None if hit.duplicates is None else [*map(record_to_plain, hit.duplicates)]
    return {
        "rank": hit.rank,
        "score": hit.score,
        "strength": None if hit.strength is None else round(hit.strength, STRENGTH_DIGITS),
        "named": hit.named,
        **record_to_plain(hit.image),
        "duplicates": duplicates,
        "matched": list(hit.matched),
        "parts": [*map(record_to_plain, hit.parts)],
    }


def record_to_plain(image: ImageRecord) -> dict[str, Any]:
    """A picture as values that JSON can hold.

    `path` is absolute, and `root` the folder of the library above it. Times are ISO 8601 without
    a zone; `taken` is as long as the date is known, and `taken_at` has the lowest possible parts in
    place of the unknown ones. Bytes of names that are not UTF-8 are surrogate escapes (PEP 383).
    """
    file, metadata = image.file, image.metadata
    return {
        "path": file.absolute,
        "width": metadata.width,
        "height": metadata.height,
        "format": metadata.format,
        "size": file.size,
        "taken_at": metadata.taken_at.isoformat() if metadata.taken_at else None,
        "camera_make": metadata.camera_make,
        "camera_model": metadata.camera_model,
        "latitude": metadata.latitude,
        "longitude": metadata.longitude,
        "id": image.id,
        "camera": camera_name(metadata.camera_make, metadata.camera_model),
        "title": metadata.title,
        "description": metadata.description,
        "keywords": list(metadata.keywords),
        "orientation": metadata.orientation,
        "content_hash": image.content_hash,
        "mtime_ns": file.mtime_ns,
        "root": file.root,
        "path_below_root": file.path,
        "taken": metadata.taken,
        "taken_precision": metadata.taken_precision,
        "taken_source": metadata.taken_source,
        "utc_offset_minutes": metadata.utc_offset_minutes,
        "people": list(metadata.people),
        "city": metadata.city,
        "state": metadata.state,
        "country": metadata.country,
        "country_code": metadata.country_code,
        "gazetteer_fields": list(metadata.gazetteer_fields),
        "rating": metadata.rating,
        "note": metadata.note,
        **measures_to_plain(image.measures),
    }


def measures_to_plain(measures: Measures | None) -> dict[str, Any]:
    """The measures by name; None for each of a picture that has not been measured."""
    return {name: getattr(measures, name, None) for name in MEASURES}


def measures_from_plain(values: Mapping[str, Any]) -> Measures | None:
    """The measures that `measures_to_plain` wrote."""
    found = {name: values[name] for name in MEASURES}
    return None if found["kind"] is None else Measures(**found)


def hit_from_plain(values: Mapping[str, Any]) -> Hit:
    """The hit that `hit_to_plain` wrote."""
    duplicates = values["duplicates"]
    return Hit(
        values["rank"],
        values["score"],
        record_from_plain(values),
        values["strength"],
        values["named"],
        None if duplicates is None else tuple(record_from_plain(each) for each in duplicates),
        tuple(values["matched"]),
        tuple(map(record_from_plain, values["parts"])),
    )


def record_from_plain(values: Mapping[str, Any]) -> ImageRecord:
    """The picture that `record_to_plain` wrote."""
    taken = values["taken_at"]
    return ImageRecord(
        values["id"],
        ImageFile(values["root"], values["path_below_root"], values["size"], values["mtime_ns"]),
        values["content_hash"],
        ImageMetadata(
            width=values["width"],
            height=values["height"],
            format=values["format"],
            orientation=values["orientation"],
            taken_at=None if taken is None else datetime.fromisoformat(taken),
            camera_make=values["camera_make"],
            camera_model=values["camera_model"],
            latitude=values["latitude"],
            longitude=values["longitude"],
            title=values["title"],
            description=values["description"],
            keywords=tuple(values["keywords"]),
            taken_precision=values["taken_precision"],
            taken_source=values["taken_source"],
            utc_offset_minutes=values["utc_offset_minutes"],
            people=tuple(values["people"]),
            city=values["city"],
            state=values["state"],
            country=values["country"],
            country_code=values["country_code"],
            gazetteer_fields=tuple(values["gazetteer_fields"]),
            rating=values["rating"],
            note=values["note"],
        ),
        measures_from_plain(values),
    )
