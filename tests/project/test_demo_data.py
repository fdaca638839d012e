"""The demo photos: licensed, captioned and small, without other files in the folder."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pillow_heif
import pytest
from PIL import Image

from tests.conftest import ROOT

DATA = ROOT / "data"
PHOTOS = sorted(path.name for path in (DATA / "photos").iterdir())
FREE = {"CC0-1.0", "CC-BY-2.0", "CC-BY-4.0", "public domain", "no known copyright restrictions"}

pillow_heif.register_heif_opener()


@pytest.fixture(scope="module")
def licences() -> dict[str, list[str]]:
    """File name -> author, licence, source, caption."""
    text = (DATA / "LICENCES.md").read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    assert rows[0] == ["file", "author", "licence", "source", "caption"]
    assert all(len(row) == 5 and all(row) for row in rows)
    assert len({row[0] for row in rows}) == len(rows)
    return {row[0]: row[1:] for row in rows[1:]}


@pytest.fixture(scope="module")
def queries() -> list[dict]:
    lines = (DATA / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_every_photo_has_a_licence_that_allows_redistribution(licences):
    assert sorted(licences) == PHOTOS
    assert {row[1] for row in licences.values()} <= FREE


def test_every_photo_has_the_caption_of_its_licence_row(licences, queries):
    captions = {q["relevant"][0]: q["query"] for q in queries if q["kind"] == "caption"}
    assert captions == {f"photos/{name}": row[3] for name, row in licences.items()}


def test_queries_name_existing_photos(queries):
    for query in queries:
        assert set(query) == {"query", "relevant", "kind"}
        assert query["relevant"]
        assert {Path(name).name for name in query["relevant"]} <= set(PHOTOS)


def test_demo_searches_are_the_demo_queries(queries):
    script = (DATA / "demo.sh").read_text(encoding="utf-8")
    searches = re.findall(r"^show search (.+) -n \d+$", script, re.MULTILINE)
    assert searches == [q["query"] for q in queries if q["kind"] == "demo"]
    assert len(searches) >= 4
    assert len(re.findall(r"^show similar data/photos/(\S+)", script, re.MULTILINE)) >= 1


def test_files_in_the_demo_exist():
    script = (DATA / "demo.sh").read_text(encoding="utf-8")
    assert {Path(name).name for name in re.findall(r"data/photos/(\S+)", script)} <= set(PHOTOS)


def test_the_photos_are_small():
    sizes = [(DATA / "photos" / name).stat().st_size for name in PHOTOS]
    assert sum(sizes) <= 6_000_000
    assert max(sizes) <= 400_000


def test_no_stray_files():
    assert {path.name for path in DATA.iterdir()} == {
        "LICENCES.md",
        "demo.sh",
        "photos",
        "queries.jsonl",
    }
    suffixes = {Path(name).suffix for name in PHOTOS}
    assert suffixes == {".jpg", ".png", ".webp", ".heic"}


@pytest.mark.parametrize("name", PHOTOS)
def test_the_photo_decodes_and_has_no_location(name):
    with Image.open(DATA / "photos" / name) as image:
        image.load()
        assert 200 <= max(image.size) <= 1024
        assert not image.getexif().get_ifd(0x8825), "GPS position"


def test_one_photo_is_stored_sideways():
    with Image.open(DATA / "photos" / "koala.jpg") as image:
        assert image.getexif()[0x0112] == 6
        assert image.width > image.height
