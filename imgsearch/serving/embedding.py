"""Vectors for clients: of texts and pictures that they send, and of pictures of the library.

The model is called with `MAX_TERMS_PER_JOB` inputs at a time, so that a search waits for a few of
them and not for all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from imgsearch.encoders.capabilities import describe_dimensions
from imgsearch.errors import QueryError
from imgsearch.library import Library
from imgsearch.searching.request import SearchRequest, Term
from imgsearch.searching.term_vectors import encode_images, encode_term
from imgsearch.vectors import Embeddings, EmbeddingSpace, normalize

MAX_TERMS_PER_JOB = 8
"""Inputs of one job; searches run between jobs."""
MAX_NORM_DEVIATION = 0.01
"""Of a client's vector from unit norm: float16 and short decimals deviate by less."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors of inputs, in their order.

    Attributes
    ----------
    space : EmbeddingSpace
    vectors : ndarray of shape (n, dimension), float32, unit norm
    dimensions : sequence of int
        Shorter lengths to which they may be cut (`ModelCard.dimensions`).
    """

    space: EmbeddingSpace
    vectors: Embeddings
    dimensions: Sequence[int] = ()

    def cut(self, dimension: int | None) -> Embeddings:
        """The vectors with another length, of unit norm again; None for their own.

        Raises
        ------
        QueryError
            The model was not trained for that length.
        """
        whole = self.space.dimension
        if dimension is None or dimension == whole:
            return self.vectors
        shorter = [each for each in self.dimensions if each < whole]
        if dimension not in shorter:
            raise QueryError(
                f"vectors of {self.space.model} cannot have {dimension} dimensions",
                f"They have {describe_dimensions([*shorter, whole])}.",
            )
        return normalize(self.vectors[:, :dimension])


def embed(library: Library, request: SearchRequest) -> Embedded:
    """The vectors of the terms of a request, each with a text, pixels or both.

    Raises
    ------
    QueryError
        The model cannot read words and a picture in one.
    EncoderError
        The model is not on this machine, or fails.
    """
    encoder = library.encoder()
    images = [term.image for term in request.terms if term.image is not None and not term.fused]
    rows_of_images = iter(encode_images(encoder, images) if images else ())
    rows = []
    for term in request.terms:
        if term.vector is not None:
            rows.append(term.vector)
        elif term.image is not None and not term.fused:
            rows.append(next(rows_of_images))
        else:
            rows.append(encode_term(encoder, term, request.instruction or None))
    return Embedded(encoder.space, np.stack(rows), encoder.card.dimensions)


@dataclass(frozen=True, slots=True)
class StoredVectors:
    """Vectors of pictures of the library; pictures without one in the space are left out.

    Attributes
    ----------
    space : EmbeddingSpace
    rows : mapping of id to ndarray of shape (dimension,), float32, unit norm
    """

    space: EmbeddingSpace
    rows: Mapping[int, Embeddings]


def stored_vectors(library: Library, ids: Sequence[int]) -> StoredVectors:
    """The vectors of present pictures in the space in use.

    Raises
    ------
    QueryError
        Nothing is indexed with the model in use.
    """
    space, catalog = library.spaces.searchable(), library.catalog
    with catalog.snapshot():
        present = np.array(sorted(catalog.present(ids)), np.int64)
        found, vectors = catalog.stored_vectors(space, present)
    return StoredVectors(space, dict(zip(found.tolist(), normalize(vectors), strict=True)))


def vector_term(vector: Embeddings, of_text: bool, weight: float = 1.0) -> Term:
    """A term with a client's vector.

    Parameters
    ----------
    vector : ndarray of shape (n,), float32
    of_text : bool
        It is the vector of a text, whose scores are lower than those of a picture.

    Raises
    ------
    QueryError
        A number is not finite, or the norm is not 1.
    """
    norm = float(np.linalg.norm(vector.astype(np.float64)))
    if not np.isfinite(vector).all() or abs(norm - 1) > MAX_NORM_DEVIATION:
        raise QueryError(
            "the vector is not a unit vector of finite numbers",
            "Send one as POST /embed or GET /images/ID/vector returns it.",
        )
    unit = normalize(vector[np.newaxis])[0]
    return Term(text="" if of_text else None, vector=unit, weight=weight)


def require_space(library: Library, key: str, dimension: int) -> None:
    """Raise `QueryError` unless a client's vector is one of the space in use."""
    space = library.spaces.searchable()
    if key != space.key:
        raise QueryError(
            f"the vector is not of the space {space.key}, in which this library is searched",
            f"Encode it again: the library uses {space.model}.",
        )
    if dimension != space.dimension:
        raise QueryError(
            f"the vector has {dimension} numbers; those of the space have {space.dimension}",
            "Send it whole.",
        )
