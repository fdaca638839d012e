"""Query to hits: encode the terms, combine them, search the index, look up the pictures."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from imgsearch.errors import EncoderError, ImgSearchError, QueryError
from imgsearch.ports import Catalog, Encoder, VectorIndex
from imgsearch.records import Hit, ImageRecord, Query, Term
from imgsearch.vectors import Embeddings, combine

DIGITS = 6
"""Scores that agree to so many digits count as equal, and are ordered by path."""


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

    def search(self, query: Query) -> list[Hit]:
        """The best pictures for the query, by score and, where scores are equal, by path.

        Raises
        ------
        QueryError
            The query is empty or has only negative terms, or the library has no pictures.
        """
        vector = self.embed(query)
        with self.catalog.snapshot():
            self.refresh()
            if not len(self.index):
                raise QueryError(
                    "the library has no pictures yet", "Add some: imgsearch index FOLDER"
                )
            found = self._best(vector, query.limit)
            records = self.catalog.get(list(found))
        ranked = sorted(
            ((score, records[i]) for i, score in found.items() if i in records), key=_order
        )
        hits = [hit for hit in ranked if hit[0] >= query.min_score][: query.limit]
        return [Hit(rank, score, image) for rank, (score, image) in enumerate(hits, start=1)]

    def embed(self, query: Query) -> Embeddings:
        """The query as one unit vector of shape (1, dimension)."""
        if not query.terms:
            raise QueryError("the query is empty", "Say what to look for: imgsearch search a dog")
        vectors = [self._embed_term(term, query.instruction) for term in query.terms]
        return combine(vectors, [term.weight for term in query.terms])

    def _embed_term(self, term: Term, instruction: str | None) -> Embeddings:
        if term.vector is not None:
            return term.vector
        encoder = self.encoder()
        self.index.space.require(encoder.space)
        return encode_term(encoder, term, instruction)

    def _best(self, vector: Embeddings, limit: int) -> dict[int, float]:
        """The best `limit` scores by id, and with them all that equal the last one."""
        wanted = limit + 1
        while True:
            matches = self.index.search(vector, wanted)
            scores = np.round(matches.scores[0].astype(float), DIGITS)
            if len(scores) < wanted or scores[-1] < scores[limit - 1]:
                return dict(zip(matches.ids[0].tolist(), scores.tolist(), strict=True))
            wanted *= 2


def encode_term(encoder: Encoder, term: Term, instruction: str | None = None) -> Embeddings:
    """One term as a unit vector of shape (dimension,)."""
    if term.image is None and not (term.text or "").strip():
        raise QueryError("the query is empty", "Say what to look for: imgsearch search a dog")
    try:
        if term.image is not None:
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


def similarity(
    encoder: Encoder, first: Term, second: Term, instruction: str | None = None
) -> float:
    """The inner product of two terms: text and image, two images, or two texts."""
    one, other = (encode_term(encoder, term, instruction) for term in (first, second))
    return float(one @ other)


def foreign_script(text: str, scripts: tuple[str, ...]) -> str:
    """The first script of the text's letters that is not among `scripts`; "" if all are.

    The script is the first word of the letter's Unicode name: "Latin", "Cyrillic", "CJK", ...
    """
    if not scripts:
        return ""
    for letter in filter(str.isalpha, unicodedata.normalize("NFKC", text)):
        script = unicodedata.name(letter, "UNKNOWN").split()[0]
        if script not in (*scripts, "MODIFIER"):
            return script if script == "CJK" else script.capitalize()
    return ""


def _order(hit: tuple[float, ImageRecord]) -> tuple[float, str]:
    score, image = hit
    return -score, image.file.absolute
