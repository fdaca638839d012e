"""The gate: decides whether a library has any answer to a query in words.

Every query has a nearest picture. The gate asks whether that picture stands out: its score is
compared with the best scores that unrelated texts reach in the same library
(`indexing.references.BEST`), which grow with the library. A model that knows more about the query
adds its own log-odds (`ports.ExplainingEncoder.answer_prior`).

    log-odds = SLOPE (best - median) / IQR + prior

The coefficients come from a logistic regression on queries with and without a right picture in four
sets of captioned photos; `benchmarks/abstention.py` fits them and reports, for each set, the result
of a gate that was fitted on the others (docs/STRENGTH.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from imgsearch.ports import Encoder, ExplainingEncoder
from imgsearch.records import Reference
from imgsearch.vectors import Embeddings

SLOPE = 2.42
PRIOR = -0.23
"""Prior for models that have none of their own; fitted without the other terms."""

MIN_LOG_ODDS = -0.94
"""The default gate: about one in twenty of the queries with a right picture is refused."""

FALSE_MATCHES = {0.05: 0.96, 0.1: 0.43, 0.2: -0.11, 0.3: -0.49, 0.4: -0.88, 0.5: -1.12}
"""Share of the queries without a right picture that are answered, to the least log-odds. The share
holds on the average of four sets; in one library it is up to 13 points off."""


@dataclass(frozen=True, slots=True)
class Gate:
    """Decides whether a library answers a query.

    Attributes
    ----------
    reference : Reference
        `BEST` of the library.
    encoder : callable
        Returns the encoder of the space.
    max_false_matches : float or None
        See `min_log_odds`.
    """

    reference: Reference
    encoder: Callable[[], Encoder]
    max_false_matches: float | None = None

    def opens(self, query: Embeddings, best: float) -> bool:
        """True if a query is answered.

        Parameters
        ----------
        query : ndarray of shape (1, dimension), float32, unit norm
        best : float
            Its highest score.
        """
        return self.log_odds(query, best) >= min_log_odds(self.max_false_matches)

    def log_odds(self, query: Embeddings, best: float) -> float:
        """Log-odds that the library has a right picture."""
        encoder, prior = self.encoder(), PRIOR
        if isinstance(encoder, ExplainingEncoder):
            prior = float(encoder.answer_prior(query)[0])
        return SLOPE * (best - self.reference.location) / self.reference.scale + prior


def min_log_odds(max_false_matches: float | None) -> float:
    """The log-odds that a query must reach, for an accepted share of false matches, 0 to 1."""
    if max_false_matches is None:
        return MIN_LOG_ODDS
    if max_false_matches >= 1:
        return -np.inf
    rates = [0.0, *FALSE_MATCHES, 1.0]
    odds = [3.0, *FALSE_MATCHES.values(), -6.0]
    return float(np.interp(max_false_matches, rates, odds))
