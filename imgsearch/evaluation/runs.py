"""Runs questions against a library, and computes and compares the figures."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from imgsearch.errors import QueryError
from imgsearch.evaluation.questions import HINT, Names, Question
from imgsearch.evaluation.ranking_metrics import Difference, judge, paired_bootstrap
from imgsearch.library import Library
from imgsearch.searching.hits import Hit
from imgsearch.searching.request import SearchRequest, Term

MAX_RANK = 1000
"""Last rank that is examined; pictures after it count as not found."""
TIMED_HITS = 20
"""Hits of the search that is timed: the default of `imgsearch search`."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to one question.

    Attributes
    ----------
    by : str
        "text" or "image".
    ranks : tuple of int
        Ranks of the relevant pictures up to `MAX_RANK`, ascending.
    relevant : int
        Number of relevant pictures.
    seconds : float
        Time of a search for the first `TIMED_HITS`, including encoding the query.
    """

    query: str
    by: str
    kind: str
    ranks: tuple[int, ...]
    relevant: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Run:
    """All outcomes of a set of questions in one space, as saved by `--save`.

    `missing` are relevant pictures that are not in the library; they count as not found.
    """

    model: str
    space: str
    pictures: int
    outcomes: tuple[Outcome, ...]
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Figures:
    """The means of a group of outcomes; `values` has one per measure in `MEASURES`."""

    by: str
    kind: str
    queries: int
    values: tuple[float, ...]
    p50_seconds: float
    p95_seconds: float


# Runs


def evaluate(
    library: Library,
    questions: Sequence[Question],
    on_progress: Callable[[int], None] = lambda done: None,
    mode: str = "semantic",
) -> Run:
    """Search for all questions in the space of the current model, including weak hits.

    Parameters
    ----------
    mode : str
        As `SearchRequest.mode`.

    Raises
    ------
    QueryError
        The library has none of the pictures named by the questions, or a query has no answer.
    """
    names = Names(library, questions)
    outcomes: list[Outcome] = []
    missing: set[str] = set()
    answers = [_answers(names, question, missing) for question in questions]
    if not any(answers):
        raise QueryError(
            "none of the pictures that the queries name is in the library",
            f"Index them first; the first one is {questions[0].relevant[0]}.",
        )
    _warm_up(library, questions)
    for question, relevant in zip(questions, answers, strict=True):
        outcomes.append(_ask(library, names, question, relevant, mode))
        on_progress(len(outcomes))
    index = library.searcher.index
    return Run(
        index.space.model, str(index.space), len(index), tuple(outcomes), tuple(sorted(missing))
    )


def _answers(names: Names, question: Question, missing: set[str]) -> set[int]:
    ids = {name: names.find(name, question) for name in question.relevant}
    missing.update(name for name, image_id in ids.items() if image_id is None)
    return {image_id for image_id in ids.values() if image_id is not None}


def _warm_up(library: Library, questions: Sequence[Question]) -> None:
    """Load model and index, so that the first question is as fast as the others."""
    text = next((each.text for each in questions if each.text), "")
    if text:
        library.search(SearchRequest([Term(text=text)], 1))
    else:
        library.searcher.refresh()


def _ask(
    library: Library, names: Names, question: Question, relevant: set[int], mode: str
) -> Outcome:
    own = names.find(question.image, question) if question.image else None
    started = time.perf_counter()
    request = SearchRequest([_term(names, question)], TIMED_HITS, mode, min_strength=0.0)
    hits = library.search(request).hits
    seconds = time.perf_counter() - started
    ranks = _ranks(hits, own, relevant)
    if len(ranks) < len(relevant - {own}):
        hits = library.search(replace(request, limit=MAX_RANK + 1)).hits
        ranks = tuple(rank for rank in _ranks(hits, own, relevant) if rank <= MAX_RANK)
    count = len(question.relevant) - (own in relevant)
    if not count:
        raise QueryError(f"{question.origin}: the picture is its own only answer", HINT)
    return Outcome(
        question.text or question.image,
        "text" if question.text else "image",
        question.kind,
        ranks,
        count,
        seconds,
    )


def _term(names: Names, question: Question) -> Term:
    if question.text:
        return Term(text=question.text)
    near = os.path.join(question.folder, question.image)
    exists = os.path.isfile(near)
    return Term(path=near if exists else names.path(question.image, question))


def _ranks(hits: Sequence[Hit], own: int | None, relevant: set[int]) -> tuple[int, ...]:
    """Ranks of the relevant pictures in a ranking without the query picture."""
    others = (hit.image.id for hit in hits if hit.image.id != own)
    return tuple(rank for rank, each in enumerate(others, start=1) if each in relevant)


# Figures


def figures(run: Run) -> list[Figures]:
    """The figures of text and of image queries, of all of them and by kind."""
    return [_figures(by, kind, group) for by, kind, group in _groups(run.outcomes)]


def _groups(outcomes: Sequence[Outcome]) -> Iterator[tuple[str, str, list[Outcome]]]:
    for by in ("text", "image"):
        members = [each for each in outcomes if each.by == by]
        kinds = sorted({each.kind for each in members})
        if members:
            yield by, "all", members
        for kind in kinds if len(kinds) > 1 else ():
            yield by, kind, [each for each in members if each.kind == kind]


def _figures(by: str, kind: str, group: Sequence[Outcome]) -> Figures:
    p50, p95 = np.percentile([each.seconds for each in group], [50, 95])
    values = tuple(float(value) for value in _values(group).mean(axis=0))
    return Figures(by, kind, len(group), values, float(p50), float(p95))


def _values(group: Sequence[Outcome]) -> Any:
    """ndarray of shape (queries, measures), float64."""
    return np.array([judge(each.ranks, each.relevant) for each in group], np.float64)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Figures of two runs on the same queries, and b - a for each of `MEASURES`."""

    a: Figures
    b: Figures
    differences: tuple[Difference, ...]


def compare(a: Run, b: Run) -> tuple[list[Comparison], int]:
    """Compare two runs on their common queries; also counts the queries in only one of them.

    Raises
    ------
    QueryError
        The runs have no query in common.
    """
    first, second = ({_key(each): each for each in run.outcomes} for run in (a, b))
    common = [key for key in first if key in second]
    if not common:
        raise QueryError("the two runs have no query in common", "Compare runs of the same file.")
    comparisons = []
    for by, kind, group in _groups([first[key] for key in common]):
        other = [second[_key(each)] for each in group]
        pairs = zip(_values(group).T, _values(other).T, strict=True)
        differences = tuple(paired_bootstrap(before, after) for before, after in pairs)
        comparisons.append(
            Comparison(_figures(by, kind, group), _figures(by, kind, other), differences)
        )
    return comparisons, len(first.keys() ^ second.keys())


def _key(outcome: Outcome) -> tuple[str, str, str]:
    return outcome.by, outcome.kind, outcome.query


# Saved runs


def run_to_json(run: Run) -> dict[str, Any]:
    """A run as plain values for JSON."""
    return {"imgsearch_run": 1, **asdict(run)}


def run_from_json(saved: Any, path: str) -> Run:
    """A saved run; `QueryError` if the values are something else."""
    try:
        if saved["imgsearch_run"] != 1:
            raise ValueError
        outcomes = tuple(
            Outcome(**{**each, "ranks": tuple(map(int, each["ranks"]))})
            for each in saved["outcomes"]
        )
        for each in outcomes:
            judge(each.ranks, each.relevant)
        return Run(str(saved["model"]), str(saved["space"]), int(saved["pictures"]), outcomes)
    except (KeyError, TypeError, ValueError, ZeroDivisionError, AttributeError):
        raise QueryError(
            f"{path} is not a run saved by 'imgsearch eval --save'", "Save it again."
        ) from None
