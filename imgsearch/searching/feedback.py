"""Relevance feedback: a query refined by pictures that the user calls right or wrong.

Rocchio, "Relevance feedback in information retrieval", in The SMART Retrieval System, 1971, with
the weights of Manning, Raghavan and Schuetze, Introduction to Information Retrieval, 2008, ch. 9:

    q' = ALPHA q  +  BETA (mean of the good)  -  GAMMA (mean of the bad)

Each picture becomes a term of the query, so it counts like any other picture of a query
(`searching.strength.footing`), and the strengths of the hits keep their meaning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from imgsearch.searching.request import Term
from imgsearch.vectors import Embeddings

ALPHA, BETA, GAMMA = 1.0, 0.75, 0.15
"""Weights of the query, of the good pictures and of the bad ones, each group as a whole. Bad ones
count little: there are many ways to be wrong, and they have little in common."""


def refined(
    terms: Sequence[Term], good: Sequence[Embeddings], bad: Sequence[Embeddings]
) -> list[Term]:
    """The terms of a query, with terms for the pictures that were judged.

    Parameters
    ----------
    terms : sequence of Term
        The positive ones get the weight ALPHA together. A query that was refined before counts as
        a whole.
    good, bad : sequence of ndarray of shape (dimension,), float32, unit norm
    """
    most = max((term.weight for term in terms), default=0.0)
    if most <= 0:
        known = list(terms)
    else:  # divided twice, so that the largest weights do not overflow
        total = sum(max(term.weight / most, 0.0) for term in terms)
        known = [replace(term, weight=ALPHA * term.weight / most / total) for term in terms]
    known += [Term(vector=each, weight=BETA / len(good)) for each in good]
    known += [Term(vector=each, weight=-GAMMA / len(bad)) for each in bad]
    return known
