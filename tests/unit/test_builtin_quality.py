"""The built-in model finds what it found before: floors on the demo photos, and on development sets
beside the checkout."""

from __future__ import annotations

import pytest

from tests.conftest import ROOT
from tests.judged import measure

DEV = ROOT.parent / "shared" / "data" / "dev"

pytestmark = pytest.mark.slow
with_dev_sets = pytest.mark.skipif(
    not DEV.is_dir(), reason="the development sets (../shared) are not here"
)


def test_the_pictures_of_the_demo(tmp_path):
    text = measure(ROOT / "data", tmp_path / "library")["text", "all"]
    assert text["recall_at_1"] >= 0.75
    assert text["mrr"] >= 0.84


@with_dev_sets
def test_pixabay107(tmp_path):
    found = measure(DEV / "pixabay107", tmp_path / "library")
    assert found["text", "all"]["recall_at_1"] >= 0.65
    assert found["text", "all"]["recall_at_5"] >= 0.93
    assert found["text", "all"]["mrr"] >= 0.775
    assert found["image", "all"]["recall_at_1"] >= 0.97


@with_dev_sets
def test_imagenet302(tmp_path):
    found = measure(DEV / "imagenet302", tmp_path / "library")
    asked = [found["text", kind] for kind in ("caption", "category")]
    total = sum(each["queries"] for each in asked)
    assert sum(each["mrr"] * each["queries"] for each in asked) / total >= 0.88
    assert found["text", "label"]["recall_at_1"] >= 0.9


@with_dev_sets
def test_neardup40(tmp_path):
    found = measure(DEV / "neardup40", tmp_path / "library")
    assert found["image", "all"]["recall_at_1"] >= 0.98


@with_dev_sets
def test_orientation(tmp_path):
    """Both pictures of this set are waterfalls, so which of them a text means is not asked."""
    found = measure(DEV / "orientation", tmp_path / "library")
    assert found["image", "all"]["recall_at_1"] == 1
