"""Scored pictures, from different sources, and the ranking that they make."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from imgsearch.searching.fusion import fuse
from imgsearch.searching.hits import Ranking
from imgsearch.searching.request import MIN_STRENGTH, SearchRequest
from imgsearch.searching.strength import Scale

WORDS_WEIGHT = 2.0
"""Weight of the ranking by words in the fusion. Those pictures have all words of the query in their
names, captions or texts: dozens of them come before any other, whatever they look like."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """The pictures that a search has scored, before they are ordered.

    Attributes
    ----------
    scores : mapping of id to inner product
        Empty in a search by words alone.
    named : mapping of id to BM25
        Pictures whose names, captions or texts have the words of the query.
    by_date : sequence of int
        Ids in their order, of a list by date.
    fused : mapping of id to inner product
        Those of `scores` that are fused with `named`: as many as they are, however deep the
        ranking, so that a deeper one begins like it. The others come behind.
    matching : int or None
        Number of pictures, if it is known.
    notes : tuple of str
        Notes on the reading of the query.
    """

    scores: Mapping[int, float]
    named: Mapping[int, float]
    scale: Scale | None = None
    by_date: Sequence[int] | None = None
    fused: Mapping[int, float] = field(default_factory=dict)
    matching: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def order(self) -> Mapping[int, float]:
        """The scores that decide the order: by meaning, by words, or the fusion of both."""
        if self.fused and self.named:
            fused = fuse([self.fused, self.named], [1.0, WORDS_WEIGHT])
            return dict.fromkeys(self.scores, 0.0) | fused
        return self.scores or self.named

    def ranking(
        self,
        request: SearchRequest,
        paths: Callable[[Sequence[int]], Mapping[int, str]],
    ) -> Ranking:
        """The best ids that are not too weak; those that tie are ordered by path."""
        if self.by_date is not None:
            return self._ranking(self.by_date, request, {}, by_date=True)
        order, cut_off = self.order, request.strength_cut_off
        strengths: dict[int, float] = {}
        ties: dict[tuple[float, float], list[int]] = defaultdict(list)
        for key in order:
            strengths[key] = self._strength(key)
            if self._passes(key, strengths[key], request, cut_off):
                ties[-order[key], -self.scores.get(key, 0.0)].append(key)
            elif not self.named:
                break  # the best come first, and those that follow are weaker or equal
        groups = _enough([ties[place] for place in sorted(ties)], request.limit + 1)
        path_of = paths([key for group in groups if len(group) > 1 for key in group])
        ids = [key for group in groups for key in _by_path(group, path_of)]
        return self._ranking(ids, request, strengths)

    def _ranking(
        self,
        ids: Sequence[int],
        request: SearchRequest,
        strengths: Mapping[int, float],
        by_date: bool = False,
    ) -> Ranking:
        complete, ids = len(ids) <= request.limit, ids[: request.limit]
        scores = [self.scores.get(key, math.nan) for key in ids]
        return Ranking(
            np.array(ids, np.int64),
            np.array(scores, np.float32),
            np.array([strengths.get(key, math.nan) for key in ids], np.float32),
            np.array([key in self.named for key in ids], np.bool_),
            by_date,
            complete=complete,
            matching=self.matching,
            notes=self.notes,
            words=request.words,
            cut_off=max(request.strength_cut_off, MIN_STRENGTH),
        )

    def _strength(self, key: int) -> float:
        """NaN if it is not known."""
        if self.scale is None or key not in self.scores:
            return math.nan
        return self.scale.strength(self.scores[key])

    def _passes(self, key: int, strength: float, request: SearchRequest, cut_off: float) -> bool:
        score = self.scores.get(key)
        known = math.nan if key in self.named else strength  # those have the cut-off of scores only
        return score is None or not _is_below(request, cut_off, score, known)


def is_weak(request: SearchRequest, scale: Scale | None, score: float) -> bool:
    """True for a score below a cut-off."""
    strength = math.nan if scale is None else scale.strength(score)
    return _is_below(request, request.strength_cut_off, score, strength)


def _is_below(request: SearchRequest, cut_off: float, score: float, strength: float) -> bool:
    """True below a cut-off. NaN, an unknown strength, is below none: better too many hits."""
    return (request.min_score is not None and score < request.min_score) or strength < cut_off


def _enough(groups: Sequence[list[int]], count: int) -> list[list[int]]:
    """The first groups that have `count` ids together."""
    total = 0
    for number, group in enumerate(groups, start=1):
        total += len(group)
        if total >= count:
            return list(groups[:number])
    return list(groups)


def _by_path(group: list[int], path_of: Mapping[int, str]) -> list[int]:
    if len(group) == 1:
        return group
    return sorted((key for key in group if key in path_of), key=path_of.__getitem__)
