"""The built-in model finds what it found before: floors on development sets beside the checkout."""

from __future__ import annotations

from pathlib import Path

import pytest

from imgsearch.app import Library
from imgsearch.evaluation import evaluate, figures
from imgsearch.measures import MEASURES
from imgsearch.plan import IndexRequest
from imgsearch.questions import read_questions
from imgsearch.settings import load_settings

ROOT = Path(__file__).resolve().parents[2]
DEV = ROOT.parent / "shared" / "data" / "dev"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DEV.is_dir(), reason="the development sets (../shared) are not here"),
]


@pytest.fixture
def measured(tmp_path):
    """Measures of a set by "text" and "image", through a library of its own."""

    def measured(name: str) -> dict[str, dict[str, float]]:
        settings = {"library": str(tmp_path / name), "device": "cpu", "threads": 1}
        library = Library(load_settings(settings))
        try:
            library.index(IndexRequest((str(DEV / name / "images"),)))
            files = [DEV / name / each for each in ("queries.jsonl", "image_queries.jsonl")]
            questions = [q for file in files if file.exists() for q in read_questions(str(file))]
            run = evaluate(library, questions)
        finally:
            library.close()
        assert not run.missing
        return {
            group.by: dict(zip(MEASURES, group.values, strict=True))
            for group in figures(run)
            if group.kind == "all"
        }

    return measured


def test_pixabay107(measured):
    found = measured("pixabay107")
    assert found["text"]["recall_at_1"] >= 0.555
    assert found["text"]["recall_at_5"] >= 0.909
    assert found["text"]["mrr"] >= 0.699
    assert found["image"]["recall_at_1"] >= 0.979  # .98, printed with two digits


def test_neardup40(measured):
    assert measured("neardup40")["image"]["recall_at_1"] >= 0.98


def test_orientation(measured):
    found = measured("orientation")
    assert found["text"]["recall_at_1"] == 1
    assert found["image"]["recall_at_1"] == 1
