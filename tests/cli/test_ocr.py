"""`imgsearch index --ocr`, with the real engine if the extra is installed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from imgsearch.cli.index import command
from tests.cli.calls import Place, blocking, process
from tests.conftest import PHOTOS, full_only

OCR = ("rapidocr", "onnxruntime", "cv2")


@pytest.fixture
def receipt(tmp_path: Path) -> Place:
    """The receipt of the demo photos under a neutral name, and two other photos."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("owl.jpg", "great_wall.jpg"):
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


@pytest.mark.parametrize(("arguments", "mode", "paths"), [
    ([], None, ()),
    (["--ocr"], "on", ()),
    (["--ocr", "photos"], "on", ("photos",)),
    (["photos", "--ocr"], "on", ("photos",)),
    (["--ocr", "auto"], "auto", ()),
    (["--ocr", "auto", "auto"], "auto", ("auto",)),
    (["--ocr=auto", "photos"], "auto", ("photos",)),
    (["--ocr", "./auto"], "on", ("./auto",)),
    (["--ocr", "off", "photos"], "off", ("photos",)),
    (["--no-ocr", "photos"], "off", ("photos",)),
    (["--ocr", "--no-ocr"], "off", ()),
    (["--no-ocr", "--ocr"], "on", ()),
    (["--ocr", "--", "auto"], "on", ("auto",)),
    (["--", "--ocr"], None, ("--ocr",)),
])  # fmt: skip
def test_a_mode_may_follow_the_option_and_so_may_a_folder(arguments, mode, paths):
    parameters = command.make_context("index", list(arguments)).params
    assert (parameters["ocr"], parameters["paths"]) == (mode, paths)


def test_another_mode_is_refused(receipt):
    outcome = receipt.call("index", receipt.photos, "--ocr=always")
    assert outcome.status == 2 and "'auto', 'on', 'off'" in outcome.err


def texts_of(place: Place, *options: str, **environment: str) -> dict[str, int] | None:
    """The texts of a run in its own process."""
    prelude = f"import os\nos.environ |= {environment}\n"
    done = process(
        *("--library", place.library, "index", place.photos, "--json", "--workers", 1, *options),
        prelude=prelude,
    )
    assert done.status == 0, done.err
    return done.json["texts"]


@full_only
@pytest.mark.usefixtures("engine")
def test_auto_reads_the_receipt_and_passes_over_the_others(receipt):
    report = receipt.index(receipt.photos, "--ocr", "auto")["texts"]
    expected = {"read": 1, "with_text": 1, "passed_over": 2, "failed": 0}
    assert report == report | expected
    found = receipt.call("search", "chocolate", "--mode", "text", "--format", "json")
    assert names(found) == ["IMG_0001.jpg"]
    status = receipt.call("status").text
    assert "1 of 3 pictures read, 1 with text, 2 passed over (rapidocr 3" in status
    assert receipt.call("skipped", "--texts").text == ""
    assert receipt.index()["texts"]["read"] == 0, "the library remembers auto"
    outcome = receipt.call("index", "--ocr")
    assert "Read 2 pictures in" in outcome.text and "passed over" not in outcome.text
    assert "3 of 3 pictures read, 1 with text (rapidocr 3" in receipt.call("status").text


@full_only
@pytest.mark.usefixtures("engine")
def test_the_setting_holds_until_the_library_has_a_choice_of_its_own(receipt):
    assert texts_of(receipt) is None
    assert texts_of(receipt, IMGSEARCH_OCR="auto")["passed_over"] == 2
    assert texts_of(receipt, "--no-ocr", IMGSEARCH_OCR="auto") is None
    assert texts_of(receipt, IMGSEARCH_OCR="on") is None, "--no-ocr is remembered"


@full_only
def test_the_setting_without_the_extra_is_a_note(receipt):
    prelude = "import os\nos.environ['IMGSEARCH_OCR'] = 'auto'\n" + blocking("rapidocr")
    outcome = process(
        "--library", receipt.library, "index", receipt.photos, "--workers", 1, prelude=prelude
    )
    assert outcome.status == 0, outcome.err
    assert "Texts in pictures are not read" in outcome.err and "3 added" in outcome.text


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
        writer.set_ocr_mode("on")
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
whole, seen = RapidReader.METHOD, []
def killed(self, pixels):
    seen.append(1)
    if len(seen) == 10:
        os.kill(os.getpid(), 9)
    return whole(self, pixels)
RapidReader.METHOD = killed
"""


@pytest.mark.usefixtures("engine")
@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
@pytest.mark.parametrize(("mode", "method", "count"), [
    ("on", "read", "read"),
    ("auto", "sees_text", "passed_over"),
])  # fmt: skip
@full_only
def test_a_killed_run_loses_only_its_current_batch(tmp_path, mode, method, count):
    photos = tmp_path / "photos"
    photos.mkdir()
    for shade in range(11):
        noise = Image.effect_noise((40, 40), 50 + shade)  # no screenshot, which is always read
        noise.convert("RGB").save(photos / f"{shade}.png")
    place = Place(photos, tmp_path / "library")
    killed = process(
        *("--library", place.library, "index", photos, "--ocr", mode, "--workers", 1),
        prelude=KILLED.replace("METHOD", method),
    )
    assert killed.status == -9, killed.err
    status = place.call("status", "--json").json["texts"]
    assert (status[count], status["mode"], status["wanted"]) == (8, mode, True)
    report = place.index()
    assert (report["unchanged"], report["texts"][count]) == (11, 3)
