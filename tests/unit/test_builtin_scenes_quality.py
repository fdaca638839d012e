"""Floors for people, scenes and light on the captioned pictures in tests/data/scenes."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from imgsearch.encoders import builtin
from imgsearch.model_records import EncoderOptions

ROOT = Path(__file__).resolve().parents[2]
SCENES = ROOT / "tests" / "data" / "scenes"


@pytest.fixture(scope="module")
def scores():
    spec = importlib.util.spec_from_file_location("recall", ROOT / "benchmarks" / "recall.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["recall"] = module
    spec.loader.exec_module(module)
    encoder = builtin.load("builtin", EncoderOptions(device="cpu", threads=1))
    return module.PictureSet(SCENES, encoder).text_scores()


@pytest.mark.slow
def test_people_scenes_and_light_are_found(scores):
    """Without the blocks "people" and "sights" R@5 is .62, .86, .38; MRR .389, .618, .179."""
    assert scores["people"].recall_5 >= 0.64
    assert scores["people"].mrr >= 0.46
    assert scores["scene"].recall_5 >= 0.86
    assert scores["light"].recall_5 >= 0.62
    assert scores["light"].mrr >= 0.4
    assert scores["all"].recall_5 >= 0.73


def test_every_picture_is_captioned_truly_and_its_licence_is_told():
    images = {path.name for path in (SCENES / "images").iterdir()}
    rows = (SCENES / "LICENCES.md").read_text("utf-8").splitlines()
    told = {row.split("|")[1].strip() for row in rows if row.startswith("|") and ".jpg |" in row}
    assert told == images
    lines = (SCENES / "queries.jsonl").read_text("utf-8").splitlines()
    queries = [json.loads(line) for line in lines]
    assert len([q for q in queries if q["kind"] in ("people", "scene", "light")]) >= 60
    assert len({q["query"] for q in queries}) == len(queries)
    assert {name.removeprefix("images/") for q in queries for name in q["relevant"]} <= images
