"""The built-in model finds what it found before: floors on development sets beside the checkout."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from imgsearch.encoders import builtin
from imgsearch.model_records import EncoderOptions

ROOT = Path(__file__).resolve().parents[2]
DEV = ROOT.parent / "shared" / "data" / "dev"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DEV.is_dir(), reason="the development sets (../shared) are not here"),
]


@pytest.fixture(scope="module")
def recall():
    spec = importlib.util.spec_from_file_location("recall", ROOT / "benchmarks" / "recall.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["recall"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def encoder():
    return builtin.load("builtin", EncoderOptions(device="cpu", threads=1))


def test_pixabay107(recall, encoder):
    pictures = recall.PictureSet(DEV / "pixabay107", encoder)
    text, image = pictures.text_scores()["all"], pictures.image_scores()["all"]
    assert text.recall_1 >= 0.555
    assert text.recall_5 >= 0.909
    assert text.mrr >= 0.699
    assert image.recall_1 >= 0.979  # .98, printed with two digits


def test_neardup40(recall, encoder):
    assert recall.PictureSet(DEV / "neardup40", encoder).image_scores()["all"].recall_1 >= 0.98


def test_orientation(recall, encoder):
    pictures = recall.PictureSet(DEV / "orientation", encoder)
    assert pictures.text_scores()["all"].recall_1 == 1
    assert pictures.image_scores()["all"].recall_1 == 1
