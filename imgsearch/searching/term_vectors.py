"""Turns terms into vectors: decodes pictures and encodes terms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from imgsearch.errors import EncoderError, ImgSearchError, QueryError
from imgsearch.ports import Encoder
from imgsearch.searching.request import Term
from imgsearch.searching.terms import EMPTY_QUERY
from imgsearch.sources.decoders import DecodeSettings
from imgsearch.vectors import Embeddings, Pixels


def with_pixels(term: Term, settings: DecodeSettings) -> Term:
    """The term with pixels in place of its `path` or `data`.

    Raises
    ------
    QueryError
        There is no such file, or it cannot be decoded.
    """
    from imgsearch.sources.decode import decode_given, decode_path

    if term.data is not None:
        name = term.name or "the picture"
        return term.resolved(image=decode_given(term.data, name, settings))
    if term.path is not None:
        return term.resolved(image=decode_path(term.path, settings, term.name).pixels)
    return term


def encode_term(encoder: Encoder, term: Term, instruction: str | None = None) -> Embeddings:
    """A term with words or pixels as a unit vector of shape (dimension,), float32.

    Raises
    ------
    QueryError
        The term is empty or not valid Unicode, or fused for a model that cannot read words and a
        picture in one.
    EncoderError
        The model fails on it.
    """
    if term.image is None and not (term.text or "").strip():
        raise QueryError(*EMPTY_QUERY)
    _require_unicode(term.text or "")
    if term.fused:
        rows = _encoded(partial(_encode_fused, encoder, term, instruction))
    elif term.image is not None:
        rows = encode_images(encoder, [term.image])
    else:
        rows = _encoded(partial(encoder.encode_texts, [term.text or ""], instruction))
    vector: Embeddings = rows[0]
    return vector


def encode_images(encoder: Encoder, images: Sequence[Pixels]) -> Embeddings:
    """Pictures as unit vectors of shape (n, dimension), float32, in one call of the model.

    Raises
    ------
    EncoderError
        The model fails on them.
    """
    return _encoded(partial(encoder.encode_images, images))


def _encoded(encode: Callable[[], Embeddings]) -> Embeddings:
    try:
        return encode()
    except ImgSearchError:
        raise
    except Exception as error:  # a device may be out of memory, or lack an operation
        raise EncoderError(
            f"the model cannot encode the query: {error}",
            "Try --device cpu or --precision fp32; 'imgsearch doctor' shows what is set up.",
        ) from error


def _require_unicode(text: str) -> None:
    """Raise `QueryError` for half of a surrogate pair, which JSON can carry and no model reads."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise QueryError("a text of the query is not valid Unicode", "Type it again.") from None


def _encode_fused(encoder: Encoder, term: Term, instruction: str | None) -> Embeddings:
    assert term.text is not None and term.image is not None
    encode_fused: Any = getattr(encoder, "encode_fused", None)
    if encode_fused is None:
        raise QueryError(
            f"{encoder.card.name} cannot read words and a picture in one",
            "Leave out --fused to add up the two, or index with a model that can, such as"
            " gme-qwen2-vl-2b: imgsearch index --model gme-qwen2-vl-2b",
        )
    rows: Embeddings = encode_fused([term.text], [term.image], instruction)
    return rows


def similarity(
    encoder: Encoder, first: Term, second: Term, instruction: str | None = None
) -> float:
    """The inner product of two terms with words or pixels, -1 to 1."""
    one, other = (encode_term(encoder, term, instruction) for term in (first, second))
    return float(one @ other)
