"""Files of one shot are one hit of `imgsearch search`, with real HEIC, JPEG and DNG files."""

from __future__ import annotations

import csv
import io
from datetime import datetime
from pathlib import Path

import pillow_heif
import pytest
from PIL import Image

from tests.cli.calls import Place
from tests.conftest import PHOTOS
from tests.hostile_files import dng

TAKEN = datetime(2020, 5, 4, 3, 2, 1)
"""The date in the DNG."""
HEIF_AND_JPEG = ("IMG_1.HEIC", "IMG_1.JPG")


def shot(folder: Path, photo: str, *names: str) -> None:
    """One photo under several names, with the same date."""
    folder.mkdir(parents=True, exist_ok=True)
    with Image.open(PHOTOS / photo) as image:
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0x9003] = f"{TAKEN:%Y:%m:%d %H:%M:%S}"
        for name in names:
            if name.endswith("HEIC"):
                pillow_heif.from_pillow(image).save(folder / name, exif=exif.tobytes())
            else:
                # Black and white, so that it is not a near-identical copy.
                image.convert("L").save(folder / name, exif=exif)


@pytest.fixture
def place(tmp_path) -> Place:
    place = Place(tmp_path / "photos", tmp_path / "library")
    shot(place.photos, "koala.jpg", *HEIF_AND_JPEG)
    shot(place.photos / "other", "koala.jpg", "IMG_1.JPG")
    place.index()
    return place


def names(place: Place, *options: object) -> list[tuple[str, list[str]]]:
    hits = place.call("search", *options, "--format", "json").json
    relative = lambda path: str(Path(path).relative_to(place.photos))  # noqa: E731
    return [(relative(hit["path"]), [*map(relative, hit["parts"])]) for hit in hits]


def test_a_shot_is_one_hit_and_lists_its_parts(place):
    listed = names(place, "--after", "2000")
    assert sorted(listed) == [("IMG_1.JPG", ["IMG_1.HEIC"]), ("other/IMG_1.JPG", [])]
    found = names(place, "koala", "--all")
    assert len(found) == 2
    assert sorted(name for path, parts in found for name in (path, *parts)) == [
        "IMG_1.HEIC", "IMG_1.JPG", "other/IMG_1.JPG",
    ]  # fmt: skip
    apart = names(place, "koala", "--all", "--apart")
    assert len(apart) == 3 and all(parts == [] for _, parts in apart)
    assert len(names(place, "koala", "--all", "-n", 2)) == 2, "folding leaves as many as requested"


def test_filters_for_either_find_it(place):
    assert names(place, "--type", "heic") == [("IMG_1.HEIC", ["IMG_1.JPG"])]
    assert ("IMG_1.JPG", ["IMG_1.HEIC"]) in names(place, "--type", "jpeg")


def test_table_and_csv(place):
    table = place.call("search", "--type", "heic").text
    assert table.endswith("2020-05-04  +JPG\n")
    text = place.call("search", "--type", "heic", "--format", "csv").text
    assert next(csv.DictReader(io.StringIO(text, newline="")))["parts"] == "1"


def test_raw_and_jpeg(tmp_path):
    pytest.importorskip("rawpy", reason="the raw extra is not installed")
    place = Place(tmp_path / "photos", tmp_path / "library")
    shot(place.photos, "koala.jpg", "DSC_1.JPG")
    (place.photos / "DSC_1.DNG").write_bytes(dng())
    place.index()
    assert names(place, "--has", "date", "--type", "jpeg") == [("DSC_1.JPG", ["DSC_1.DNG"])]
    assert names(place, "--type", "raw") == [("DSC_1.DNG", ["DSC_1.JPG"])]
