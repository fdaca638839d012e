"""The gate: decides whether a library has any answer to a query in words.

Every query has a nearest picture. The gate asks whether that picture stands out: its score is
compared with the best scores that unrelated texts reach in the same library
(`indexing.references.BEST`), which grow with the library. A model that knows more about the query
adds its own log-odds (`ports.ExplainingEncoder.answer_prior`).

    log-odds = ANSWER_SLOPE (best - median) / IQR + prior

The coefficients come from a logistic regression on queries with and without a right picture in four
sets of captioned photos; `benchmarks/abstention.py` fits them and reports, for each set, the result
of a gate that was fitted on the others (docs/STRENGTH.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from imgsearch.indexing.references import ABSENT, answer_log_odds, answer_priors
from imgsearch.ports import Encoder
from imgsearch.records import Reference
from imgsearch.vectors import Embeddings

MIN_LOG_ODDS = -0.94
"""The default gate: about one in twenty of the queries with a right picture is refused."""

FALSE_MATCHES = {0.05: 0.71, 0.1: 0.37, 0.2: 0.11, 0.3: -0.13, 0.4: -0.32, 0.5: -0.5}
"""Share of the queries without a right picture that are answered, to the least log-odds, in scales
of the reference `ABSENT` of the library above its location."""
_TYPICAL_ABSENT = Reference(ABSENT, -0.5, 2.1, 0)
"""The mean of four sets, for a library whose own was not measured yet."""


@dataclass(frozen=True, slots=True)
class Gate:
    """Decides whether a library answers a query.

    Attributes
    ----------
    reference : Reference
        `BEST` of the library.
    absent : Reference or None
        `ABSENT` of the library; needed for `max_false_matches`.
    encoder : callable
        Returns the encoder of the space.
    max_false_matches : float or None
        Share of the queries without a right picture to answer, 0 to 1; None for the default.
    """

    reference: Reference
    absent: Reference | None
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
        return self.log_odds(query, best) >= self.min_log_odds

    def log_odds(self, query: Embeddings, best: float) -> float:
        """Log-odds that the library has a right picture."""
        priors = answer_priors(self.encoder(), query)
        return float(answer_log_odds(np.array([best]), self.reference, priors)[0])

    @property
    def min_log_odds(self) -> float:
        """The log-odds that a query must reach."""
        if self.max_false_matches is None:
            return MIN_LOG_ODDS
        if self.max_false_matches >= 1:
            return -np.inf
        null = self.absent or _TYPICAL_ABSENT
        rates = [0.0, *FALSE_MATCHES, 1.0]
        scales = [2.0, *FALSE_MATCHES.values(), -3.0]
        return null.location + null.scale * float(np.interp(self.max_false_matches, rates, scales))
