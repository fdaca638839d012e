"""The strength of a score: raw inner products put on one scale for all models and modalities.

A cosine of 0.3 is a good match between text and picture in one model, and a poor one between two
pictures, or in another model. A score means something only next to the scores of unrelated pairs:
texts that are not about a picture, pictures that have nothing in common. Such reference scores are
drawn from the library itself (`indexing.references`).

- z = (score - location) / scale, with robust location and scale: the z-normalisation of scores
  as used in speaker verification (Auckenthaler et al., Digital Signal Processing 2000) and in the
  fusion of searches (Renda & Straccia, SAC 2003).
- strength = 1 / (1 + exp(-(slope z + offset))): the probability that a hit is a true one, fitted
  once by logistic regression (Platt 1999) on captioned photos; see docs/STRENGTH.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from imgsearch.indexing.references import PLATT
from imgsearch.records import Reference


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps scores of one query to strengths."""

    location: float
    scale: float
    slope: float
    offset: float

    def strength(self, score: float) -> float:
        """0 to 1: an estimate of how likely a hit with this score is right."""
        odds = self.slope * (score - self.location) / self.scale + self.offset
        # Called for thousands of hits, one by one: NumPy takes seven times as long for a number.
        return 1 / (1 + math.exp(-min(50.0, max(-50.0, odds))))


def footing(references: Mapping[str, Reference], modalities: Sequence[str]) -> list[float]:
    """Factors that give terms of different modalities equal weight: the inverse of their scale.

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
