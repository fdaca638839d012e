"""Measures whether marking results as right or wrong helps, for --more and --less.

    python benchmarks/feedback.py [--model NAME] [--shown 20] SET...

SET is a folder with `queries.jsonl`. For each query with at least two relevant pictures, the first
true hit among those shown is marked as good and the first false one as bad, and the query is
refined. Both pictures are then removed from the rankings before and after (a residual collection,
Manning et al. 2008, section 9.1.5), so that finding the marked pictures again gains nothing. Prints
the mean R-precision of the remaining pictures, the difference with a 95 % bootstrap interval, and
the number of queries that gained and lost. Everything runs through a library in a temporary
folder.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from imgsearch.evaluation.questions import Names, read_questions
from imgsearch.evaluation.ranking_metrics import paired_bootstrap, r_precision
from imgsearch.indexing.plan import IndexRequest
from imgsearch.library import Library
from imgsearch.searching import feedback
from imgsearch.searching.request import SearchRequest, Term
from imgsearch.settings import load_settings

WEIGHTS = ((0.75, 0.15), (0.75, 0.0), (0.0, 0.15), (0.4, 0.15), (1.5, 0.15), (0.75, 0.5))
"""BETA and GAMMA; the first pair is in use."""


class Judged:
    """The library of a set, and its text queries with the ids of the relevant pictures."""

    def __init__(self, folder: Path, library: Library) -> None:
        self._library = library
        library.index(IndexRequest((str(folder),)))
        questions = read_questions(str(folder / "queries.jsonl"))
        names = Names(library, questions)
        found = [
            (each.text, {names.find(name, each) for name in each.relevant} - {None})
            for each in questions
            if each.text
        ]
        self.queries = [(text, relevant) for text, relevant in found if len(relevant) > 1]

    def ranking(self, terms: Sequence[Term]) -> list[int]:
        hits = self._library.search(SearchRequest(terms, 100_000, mode="semantic"))
        return [hit.image.id for hit in hits]

    def vector(self, image_id: int):
        return self._library.catalog.vector(self._library.searcher.index.space, image_id)

    def change(self, text: str, relevant: set[int], shown: int) -> tuple[float, float] | None:
        """R-precision of the unmarked pictures before and after.

        None if no true hit was shown, so that a user had nothing to mark.
        """
        before = self.ranking([Term(text=text)])
        good = [each for each in before[:shown] if each in relevant][:1]
        bad = [each for each in before[:shown] if each not in relevant][:1]
        if not good:
            return None
        vectors = ([self.vector(each) for each in group] for group in (good, bad))
        after = self.ranking(feedback.refined([Term(text=text)], *vectors))
        left = relevant - set(good)
        return tuple(
            r_precision(_ranks([e for e in ranking if e not in good + bad], left), len(left))
            for ranking in (before, after)
        )


def _ranks(ranking: list[int], relevant: set[int]) -> list[int]:
    return [rank for rank, each in enumerate(ranking, start=1) if each in relevant]


def main() -> None:
    parser = argparse.ArgumentParser(description="R-precision before and after feedback.")
    parser.add_argument("sets", type=Path, nargs="+")
    parser.add_argument("--model")
    parser.add_argument("--shown", type=int, default=20)
    arguments = parser.parse_args()
    for folder in arguments.sets:
        with tempfile.TemporaryDirectory() as place:
            library = Library(load_settings({"library": place, "model": arguments.model}))
            report(folder.name, Judged(folder, library), arguments.shown)
            library.close()


def report(name: str, judged: Judged, shown: int) -> None:
    for feedback.BETA, feedback.GAMMA in WEIGHTS:
        found = [judged.change(*query, shown) for query in judged.queries]
        pairs = [pair for pair in found if pair is not None]
        before, after = zip(*pairs, strict=True)
        change = paired_bootstrap(before, after)
        gained = sum(b > a for a, b in pairs)
        lost = sum(b < a for a, b in pairs)
        print(
            f"{name}: {len(pairs)} of {len(judged.queries)} queries,"
            f" beta {feedback.BETA:g} gamma {feedback.GAMMA:g}:"
            f" R-precision {sum(before) / len(pairs):.3f} -> {sum(after) / len(pairs):.3f},"
            f" difference {change.mean:+.3f} [{change.low:+.3f}, {change.high:+.3f}],"
            f" {gained} gained, {lost} lost"
        )


if __name__ == "__main__":
    main()
