"""Reference scores: the scores of queries in this library against unrelated pictures.

The vectors of a sample of pictures are compared with unrelated texts and with each other. Two
numbers sum up each distribution; `searching.strength` turns scores into strengths with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from imgsearch.ports import Encoder, ExplainingEncoder
from imgsearch.records import Reference
from imgsearch.vectors import Embeddings

TEXT, IMAGE, BEST, ABSENT = "text", "image", "best", "absent"
MIN_IMAGES = 16
"""A smaller library has too few pictures for a reference; its hits have no strength."""
MAX_SAMPLE_IMAGES = 5000
"""Pictures that a reference is drawn from."""
MAX_PAIRS = 200_000
"""Pairs of pictures that the image reference is drawn from."""
MAX_GROWTH_RATIO = 1.25
"""References are drawn again once a library has grown, or shrunk, by this factor."""

PLATT = {TEXT: (1.1, -3.0), IMAGE: (1.2, -4.5)}
"""Modality to slope and offset of the logistic fit, made with the built-in model."""

ANSWER_SLOPE = 2.42
"""Log-odds of an answer for each interquartile range by which the best score of a text exceeds the
median; `searching.abstention` says where they come from."""
ANSWER_PRIOR = -0.23
"""Log-odds of an answer, before its best score is known, by a model that knows no more about the
text; fitted without the terms of others."""

_LOG_ODDS_OF_90_PERCENT = 2.2
_Z_OF_95_PERCENT = 1.6449
"""95 % of a normal distribution lie below this many standard deviations above the median."""


def text_reference(texts: Embeddings, pictures: Embeddings, count: int) -> Reference | None:
    """The reference of text queries.

    Parameters
    ----------
    texts : ndarray of shape (t, dimension), float32, unit norm
        Of `imgsearch.indexing.reference_texts.TEXTS`.
    pictures : ndarray of shape (n, dimension), float32, unit norm
        A sample of the library.
    count : int
        Pictures of the whole library.
    """
    return _reference(TEXT, (texts @ pictures.T).ravel(), count)


def best_reference(best: NDArray[np.floating], count: int) -> Reference | None:
    """The reference of the best score that a text query reaches in the whole library.

    Parameters
    ----------
    best : ndarray of shape (t,)
        The highest score of each reference text over all pictures.

    Returns
    -------
    Reference or None
        `location` is the median, `scale` the interquartile range; None if all are alike.
    """
    lower, middle, upper = np.quantile(best.astype(np.float64), (0.25, 0.5, 0.75))
    if upper - lower < 1e-6:
        return None
    return Reference(BEST, float(middle), float(upper - lower), count)


def answer_priors(encoder: Encoder, texts: Embeddings) -> NDArray[np.float64]:
    """Log-odds of an answer by the texts alone, shape (t,); the same for all if the model knows no
    more about them."""
    if isinstance(encoder, ExplainingEncoder):
        return encoder.answer_prior(texts)
    return np.full(len(texts), ANSWER_PRIOR)


def answer_log_odds(
    best: NDArray[np.floating], reference: Reference, priors: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Log-odds that a library has a right picture for each text, shape (t,).

    Parameters
    ----------
    best : ndarray of shape (t,)
        The highest score of each text over all pictures.
    reference : Reference
        `BEST` of the library.
    priors : ndarray of shape (t,)
        Of `answer_priors`.
    """
    scores = best.astype(np.float64)
    return ANSWER_SLOPE * (scores - reference.location) / reference.scale + priors


def absent_reference(odds: NDArray[np.float64], count: int) -> Reference | None:
    """The reference of text queries that the library does not answer: an empirical null.

    Some of the reference texts are in any library, and nobody knows which. They score high, so the
    lower part of all log-odds is that of the others (Efron, "Large-scale simultaneous hypothesis
    testing: the choice of a null hypothesis", JASA 2004).

    Parameters
    ----------
    odds : ndarray of shape (t,), float64
        Of the reference texts, by `answer_log_odds`.

    Returns
    -------
    Reference or None
        `location` is the 60th percentile, `scale` its distance to the 10th; None if all are alike.
    """
    lower, upper = np.quantile(odds, (0.1, 0.6))
    if upper - lower < 1e-6:
        return None
    return Reference(ABSENT, float(upper), float(upper - lower), count)


def image_reference(pictures: Embeddings, count: int) -> Reference | None:
    """The reference of image queries: pairs of different pictures, which are in no order.

    If all pictures are alike, the spread is limited, so that a picture always finds itself.
    """
    n = len(pictures)
    shifts = range(1, min(n, 1 + MAX_PAIRS // max(n, 1)))
    scores = [np.einsum("ij,ij->i", pictures, np.roll(pictures, shift, axis=0)) for shift in shifts]
    drawn = _reference(IMAGE, np.concatenate(scores) if scores else np.empty(0), count)
    if drawn is None:
        return None
    slope, offset = PLATT[IMAGE]
    most = (1.0 - drawn.location) * slope / (_LOG_ODDS_OF_90_PERCENT - offset)
    return replace(drawn, scale=min(drawn.scale, max(most, 1e-6)))


def _reference(modality: str, scores: NDArray[np.floating], count: int) -> Reference | None:
    """The reference; None if there are too few scores, or all are alike."""
    if len(scores) < 2:
        return None
    middle, upper = np.quantile(scores.astype(np.float64), (0.5, 0.95))
    if upper - middle < 1e-6:
        return None
    return Reference(modality, float(middle), float((upper - middle) / _Z_OF_95_PERCENT), count)


def outdated(references: Mapping[str, Reference], count: int) -> bool:
    """True if a library of `count` pictures needs new references."""
    if count < MIN_IMAGES:
        return bool(references)
    if not {TEXT, IMAGE, BEST, ABSENT} <= references.keys():
        return True
    return any(
        not drawn.pictures / MAX_GROWTH_RATIO <= count <= drawn.pictures * MAX_GROWTH_RATIO
        for drawn in references.values()
    )
