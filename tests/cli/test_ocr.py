"""`imgsearch index --ocr`, with the real engine if the extra is installed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from tests.cli.calls import Place, blocking, process
from tests.conftest import PHOTOS, full_only

OCR = ("rapidocr", "onnxruntime", "cv2")


@pytest.fixture
def receipt(tmp_path: Path) -> Place:
    """The receipt of the demo photos under a neutral name, and two other photos."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("owl.jpg", "crab.jpg"):
        shutil.copy(PHOTOS / name, photos / name)
    shutil.copy(PHOTOS / "receipt.jpg", photos / "IMG_0001.jpg")
    return Place(photos, tmp_path / "library")


@pytest.fixture
def engine() -> None:
    for name in OCR:
        pytest.importorskip(name, reason="the extra ocr is not installed")


def names(outcome) -> list[str]:
    assert outcome.status == 0, outcome.err
    return [os.path.basename(path) for path in outcome.paths]


@full_only
@pytest.mark.usefixtures("engine")
def test_the_receipt_is_found_by_a_word_printed_on_it(receipt):
    report = receipt.index(receipt.photos, "--ocr")
    assert report["texts"] == report["texts"] | {"read": 3, "with_text": 1, "failed": 0}
    for words in (["chocolate"], ["corner", "shop", "thank"], ["13.82"], ["Milk", "IMG_0001"]):
        assert names(receipt.call("search", *words, "--mode", "text", "--format", "json")) == [
            "IMG_0001.jpg"
        ]
    hits = receipt.call("search", "chocolate", "--format", "json").json
    assert os.path.basename(hits[0]["path"]) == "IMG_0001.jpg" and hits[0]["named"]
    assert names(receipt.call("search", "umbrella", "--mode", "text", "--format", "json")) == []
    status = receipt.call("status").text
    assert "3 of 3 pictures read, 1 with text (rapidocr 3" in status


@pytest.mark.usefixtures("engine")
@full_only
def test_the_library_remembers_and_reads_only_what_is_new(receipt):
    assert receipt.index()["texts"] is None, "off by default"
    assert "Texts" not in receipt.call("status").text
    assert receipt.index(receipt.photos, "--ocr")["texts"]["read"] == 3
    with Image.open(PHOTOS / "receipt.jpg") as image:  # sideways, except for its EXIF orientation
        exif = Image.Exif()
        exif[0x0112] = 6
        ImageOps.exif_transpose(image).rotate(90, expand=True).save(
            receipt.photos / "turned.png", exif=exif
        )
    shutil.copy(receipt.photos / "IMG_0001.jpg", receipt.photos / "copy.jpg")
    assert receipt.index()["texts"]["read"] == 1, "the copy has the same bytes"
    hits = names(receipt.call("search", "corner shop", "--mode", "text", "--format", "json"))
    assert sorted(hits) == ["IMG_0001.jpg", "copy.jpg", "turned.png"]
    Image.new("RGB", (60, 60)).save(receipt.photos / "new.png")
    assert receipt.index(receipt.photos, "--no-ocr")["texts"] is None
    assert receipt.index()["texts"] is None, "--no-ocr is remembered, too"
    status = receipt.call("status").text
    assert "5 of 6 pictures read, 3 with text" in status and "new pictures are not read" in status


@pytest.mark.usefixtures("engine")
@full_only
def test_the_report_of_texts(receipt):
    outcome = receipt.call("index", receipt.photos, "--ocr")
    assert outcome.status == 0
    assert "Read 3 pictures in" in outcome.text and "1 with text." in outcome.text
    assert receipt.call("skipped", "--texts").text == ""
    assert receipt.call("skipped", "--texts", "--json").json == []
    report = receipt.call("doctor").text
    assert "PP-OCRv6 small: 'imgsearch index --ocr' reads pictures" in report


NO_OCR = """
def at_end():
    print("loaded", sorted({"rapidocr", "onnxruntime", "cv2"} & set(sys.modules)), file=sys.stderr)
"""


@pytest.mark.usefixtures("engine")
@full_only
def test_a_search_loads_no_engine(receipt):
    library = ("--library", receipt.library)
    receipt.index(receipt.photos, "--ocr")
    for arguments in (
        ["search", "chocolate"],
        ["search", "chocolate", "--mode", "text"],
        ["status"],
    ):
        done = process(*library, *arguments, prelude=NO_OCR)
        assert done.status == 0, done.err
        assert done.err.endswith("loaded []\n")
    done = process(*library, "index", prelude=NO_OCR)
    assert done.status == 0 and done.err.endswith("loaded []\n"), "nothing was new"


@full_only
def test_without_the_extra_its_installation_is_suggested(receipt):
    missing = ("--library", receipt.library, "index", receipt.photos, "--workers", 1, "--ocr")
    for module in OCR[:2]:
        outcome = process(*missing, prelude=blocking(module))
        assert outcome.status == 1
        assert "reading the text in pictures needs a package" in outcome.err
        assert "pip install '.[ocr]'" in outcome.err
    assert "  0 in 0 folders" in receipt.call("status").text, "the error comes before any work"


@full_only
def test_a_library_that_remembers_is_indexed_without_the_extra(receipt):
    from imgsearch.catalog import open_catalog

    receipt.index()
    catalog = open_catalog(str(receipt.library))
    with catalog.writer() as writer:
        writer.want_texts(True)
    catalog.close()
    shutil.copy(receipt.photos / "owl.jpg", receipt.photos / "other.jpg")
    outcome = process("--library", receipt.library, "index", prelude=blocking("rapidocr"))
    assert outcome.status == 0, outcome.err
    assert "Texts in pictures are not read" in outcome.err
    assert "pip install '.[ocr]'" in outcome.err
    assert "1 added" in outcome.text
    doctor = process("--library", receipt.library, "doctor", prelude=blocking("rapidocr"))
    assert "cannot read text in pictures" in doctor.text


KILLED = """
import os
from imgsearch.ocr.rapid import RapidReader
whole, seen = RapidReader.read, []
def read(self, pixels):
    seen.append(1)
    if len(seen) == 10:
        os.kill(os.getpid(), 9)
    return whole(self, pixels)
RapidReader.read = read
"""


@pytest.mark.usefixtures("engine")
@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
@full_only
def test_a_killed_run_loses_only_its_current_batch(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for shade in range(11):
        Image.new("RGB", (40, 40), (20 * shade, 0, 0)).save(photos / f"{shade}.png")
    place = Place(photos, tmp_path / "library")
    killed = process(
        *("--library", place.library, "index", photos, "--ocr", "--workers", 1), prelude=KILLED
    )
    assert killed.status == -9, killed.err
    status = place.call("status", "--json").json["texts"]
    assert (status["read"], status["wanted"]) == (8, True)
    report = place.index()
    assert (report["unchanged"], report["texts"]["read"]) == (11, 3)
