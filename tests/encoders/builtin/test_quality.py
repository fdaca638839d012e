"""The built-in model finds what it found before: floors on the demo photos, and on development sets
beside the checkout."""

from __future__ import annotations

import shutil

import pytest

from tests.conftest import ROOT, full_only
from tests.quality import measure

pytestmark = [pytest.mark.slow, full_only]


def test_the_pictures_of_the_demo(demo, tmp_path):
    library = shutil.copytree(demo.library, tmp_path / "library")
    text = measure(ROOT / "data", library)["text", "all"]
    assert text["recall_at_1"] >= 0.75
    assert text["mrr"] >= 0.84


def test_pixabay107(shared, tmp_path):
    found = measure(shared / "dev" / "pixabay107", tmp_path / "library")
    assert found["text", "all"]["recall_at_1"] >= 0.65
    assert found["text", "all"]["recall_at_5"] >= 0.93
    assert found["text", "all"]["mrr"] >= 0.775
    assert found["image", "all"]["recall_at_1"] >= 0.97


@full_only
def test_imagenet302(shared, tmp_path):
    found = measure(shared / "dev" / "imagenet302", tmp_path / "library")
    asked = [found["text", kind] for kind in ("caption", "category")]
    total = sum(each["queries"] for each in asked)
    assert sum(each["mrr"] * each["queries"] for each in asked) / total >= 0.88
    assert found["text", "label"]["recall_at_1"] >= 0.9


def test_neardup40(shared, tmp_path):
    found = measure(shared / "dev" / "neardup40", tmp_path / "library")
    assert found["image", "all"]["recall_at_1"] >= 0.98


def test_orientation(shared, tmp_path):
    """Both pictures of this set are waterfalls, so which of them a text means is not asked."""
    found = measure(shared / "dev" / "orientation", tmp_path / "library")
    assert found["image", "all"]["recall_at_1"] == 1
