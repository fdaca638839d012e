"""A query made better by pictures that the user says are right or wrong: relevance feedback.

Rocchio, "Relevance feedback in information retrieval", in The SMART Retrieval System, 1971, with
the weights of Manning, Raghavan and Schuetze, Introduction to Information Retrieval, 2008, ch. 9:

    q' = ALPHA q  +  BETA (mean of the good)  -  GAMMA (mean of the bad)

Each picture becomes a term of the query, so it is on the same footing as any other picture of a
query (`imgsearch.searching.strength.footing`), and the strengths of the hits stay meaningful.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from imgsearch.records import Term
from imgsearch.vectors import Embeddings

ALPHA, BETA, GAMMA = 1.0, 0.75, 0.15
"""Weights of the query, of the good pictures, and of the bad ones, each group as a whole. Bad ones
count little, because there are many ways of being wrong, and they have little in common."""


def refined(
    terms: Sequence[Term], good: Sequence[Embeddings], bad: Sequence[Embeddings]
) -> list[Term]:
    """The terms of a query, and those of the pictures that it was judged by.

    Parameters
    ----------
    terms : sequence of Term
        The positive ones weigh ALPHA together, whatever they weighed before. A query that was
        refined before counts as a whole again.
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
