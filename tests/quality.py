"""Sets of pictures with queries, measured as `imgsearch eval` does it, through a real library."""

from __future__ import annotations

from pathlib import Path

from imgsearch.evaluation.questions import read_questions
from imgsearch.evaluation.ranking_metrics import MEASURES
from imgsearch.evaluation.runs import evaluate, figures
from imgsearch.indexing.plan import IndexRequest
from imgsearch.library import Library
from imgsearch.settings import load_settings

Measured = dict[tuple[str, str], dict[str, float]]


def measure(folder: Path, library: Path) -> Measured:
    """The built-in model on a set: measures by ("text" or "image", kind), "all" among the kinds.

    The measure "queries" is how many there are.
    """
    settings = {"library": str(library), "device": "cpu", "threads": 1, "model": "builtin"}
    opened = Library(load_settings(settings))
    inside = next(name for name in ("images", "photos") if (folder / name).is_dir())
    try:
        opened.index(IndexRequest((str(folder / inside),)))
        files = [folder / name for name in ("queries.jsonl", "image_queries.jsonl")]
        questions = [q for file in files if file.exists() for q in read_questions(str(file))]
        run = evaluate(opened, questions)
    finally:
        opened.close()
    assert not run.missing
    return {
        (group.by, group.kind): dict(zip(MEASURES, group.values, strict=True))
        | {"queries": group.queries}
        for group in figures(run)
    }
