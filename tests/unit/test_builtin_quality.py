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

pytestmark = pytest.mark.slow
with_dev_sets = pytest.mark.skipif(
    not DEV.is_dir(), reason="the development sets (../shared) are not here"
)


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


def test_the_pictures_of_the_demo(recall, encoder):
    text = recall.PictureSet(ROOT / "data", encoder).text_scores()["all"]
    assert text.recall_1 >= 0.75
    assert text.mrr >= 0.84


@with_dev_sets
def test_pixabay107(recall, encoder):
    pictures = recall.PictureSet(DEV / "pixabay107", encoder)
    text, image = pictures.text_scores()["all"], pictures.image_scores()["all"]
    assert text.recall_1 >= 0.65
    assert text.recall_5 >= 0.93
    assert text.mrr >= 0.775
    assert image.recall_1 >= 0.97


@with_dev_sets
def test_imagenet302(recall, encoder):
    scores = recall.PictureSet(DEV / "imagenet302", encoder).text_scores()
    asked = [scores[kind] for kind in ("caption", "category")]
    total = sum(score.queries for score in asked)
    assert sum(score.mrr * score.queries for score in asked) / total >= 0.88
    assert scores["label"].recall_1 >= 0.9


@with_dev_sets
def test_neardup40(recall, encoder):
    assert recall.PictureSet(DEV / "neardup40", encoder).image_scores()["all"].recall_1 >= 0.98


@with_dev_sets
def test_orientation(recall, encoder):
    """Both pictures of this set are waterfalls, so which of them a text means is not asked."""
    assert recall.PictureSet(DEV / "orientation", encoder).image_scores()["all"].recall_1 == 1
