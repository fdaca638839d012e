"""How unusual a score is: raw inner products put on one scale for all models and modalities.

A cosine of 0.3 is a good match between text and picture in one model, and a poor one between two
pictures, or in another model. What a score means shows only beside the scores of what does not
belong together: of texts that are not about a picture, of pictures that have nothing in common.
Such reference scores are drawn from the library itself, and summed up in two numbers.

- z = (score - location) / scale, with robust location and scale: the z-normalisation of scores
  as used in speaker verification (Auckenthaler et al., Digital Signal Processing 2000) and in the
  fusion of searches (Renda & Straccia, SAC 2003).
- strength = 1 / (1 + exp(-(slope z + offset))): the probability that a hit is a true one, fitted
  once by logistic regression (Platt 1999) on captioned photos; see docs/STRENGTH.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from imgsearch.vectors import Embeddings

TEXT, IMAGE = "text", "image"
LEAST_PICTURES = 16
"""With fewer, nothing can be said of what is usual in a library; hits have no strength then."""
SAMPLE = 5000
"""Pictures that a reference is drawn from, at most."""
PAIRS = 200_000
"""Pairs of pictures that the image reference is drawn from, at most."""
GROWTH = 1.25
"""References are drawn anew once a library has grown, or shrunk, by so much."""

PLATT = {TEXT: (1.1, -3.0), IMAGE: (1.2, -4.5)}
"""Modality to slope and offset of the fit, which was made with the built-in model."""

_SURE = 2.2
"""The logarithm of the odds of a strength of 0.9."""
_UPPER = 1.6449
"""Of a normal distribution, 95 % lie below so many standard deviations above the median."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What queries of one modality score against pictures that they do not mean.

    Attributes
    ----------
    modality : {"text", "image"}
        Of the query.
    location : float
        The median score.
    scale : float
        The distance from the median to the 95th percentile, divided by 1.6449: the standard
        deviation if scores were normal. The upper half is what false hits come from.
    pictures : int
        How many the library had when the reference was drawn.
    """

    modality: str
    location: float
    scale: float
    pictures: int


@dataclass(frozen=True, slots=True)
class Scale:
    """From scores of one query to strengths."""

    location: float
    scale: float
    slope: float
    offset: float

    def strength(self, score: float) -> float:
        """0 to 1: how likely it is that a hit of this score is meant."""
        odds = self.slope * (score - self.location) / self.scale + self.offset
        # Asked for thousands of hits, one by one: NumPy takes seven times as long for a number.
        return 1 / (1 + math.exp(-min(50.0, max(-50.0, odds))))


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


def image_reference(pictures: Embeddings, count: int) -> Reference | None:
    """The reference of image queries: pairs of different pictures, which are in no order.

    Where all pictures are alike the spread is limited, so that a picture always finds itself.
    """
    n = len(pictures)
    shifts = range(1, min(n, 1 + PAIRS // max(n, 1)))
    scores = [np.einsum("ij,ij->i", pictures, np.roll(pictures, shift, axis=0)) for shift in shifts]
    drawn = _reference(IMAGE, np.concatenate(scores) if scores else np.empty(0), count)
    if drawn is None:
        return None
    slope, offset = PLATT[IMAGE]
    most = (1.0 - drawn.location) * slope / (_SURE - offset)
    return replace(drawn, scale=min(drawn.scale, max(most, 1e-6)))


def _reference(modality: str, scores: NDArray[np.floating], count: int) -> Reference | None:
    """None where there are too few scores, or all alike, to say anything."""
    if len(scores) < 2:
        return None
    middle, upper = np.quantile(scores.astype(np.float64), (0.5, 0.95))
    if upper - middle < 1e-6:
        return None
    return Reference(modality, float(middle), float((upper - middle) / _UPPER), count)


def outdated(references: Mapping[str, Reference], count: int) -> bool:
    """True where a library of `count` pictures should have its references drawn anew."""
    if count < LEAST_PICTURES:
        return bool(references)
    if references.keys() != {TEXT, IMAGE}:
        return True
    return any(
        not drawn.pictures / GROWTH <= count <= drawn.pictures * GROWTH
        for drawn in references.values()
    )


def footing(references: Mapping[str, Reference], modalities: Sequence[str]) -> list[float]:
    """Factors that make terms of different modalities count alike: the inverse of their scale.

    With them a composed query ranks by the weighted sum of its terms' z; without references all
    are 1.
    """
    if any(modality not in references for modality in modalities):
        return [1.0] * len(modalities)
    return [1.0 / references[modality].scale for modality in modalities]


def query_scale(
    references: Mapping[str, Reference],
    modalities: Sequence[str],
    weights: Sequence[float],
    likeness: Sequence[float],
) -> Scale | None:
    """The scale of a composed query; None without references.

    The query is q = sum(weight_i * term_i) / norm, so its score is the same sum of the terms'
    scores. Taking the terms to be independent, locations add up and variances add up. The fit is
    the mean of the terms' fits, by weight.

    Parameters
    ----------
    likeness : sequence of float
        Inner product of q with each term: it gives norm = sum(weight_i * likeness_i).
    """
    if any(modality not in references for modality in modalities):
        return None
    shares = np.asarray(weights) / np.abs(weights).max()
    norm = float(shares @ likeness)
    parts = [references[modality] for modality in modalities]
    location = shares @ [part.location for part in parts]
    spread = np.linalg.norm(shares * [part.scale for part in parts])
    fits = np.array([PLATT[modality] for modality in modalities])
    slope, offset = np.abs(shares) @ fits / np.abs(shares).sum()
    return Scale(float(location / norm), float(spread / norm), float(slope), float(offset))
