"""Regression tests for faults found by using the program as a newcomer."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from imgsearch.catalog import open_catalog, sqlite_file
from imgsearch.errors import EncoderError
from imgsearch.indexing.encode_pool import LocalPool
from imgsearch.model_card import InputSize
from imgsearch.records import Encoded, ImageFile, Skipped, clamped
from imgsearch.sources.decode import decode_file
from imgsearch.sources.decoder_pool import InlineDecoder
from imgsearch.sources.decoders import DecodeSettings
from imgsearch.sources.folder_source import FilesystemSource
from tests.conftest import PHOTOS
from tests.fakes import DIMENSION, SPACE, MemoryFolder, held, ingest, unit_rows


def decode(path):
    file = ImageFile(str(path.parent), path.name, 0, 0)
    return decode_file(file, DecodeSettings(input_size=InputSize(long=64)))


def test_a_damaged_png_is_skipped_and_not_black(tmp_path):
    with Image.open(PHOTOS / "tabby_cat_face.jpg") as image:
        image.save(tmp_path / "whole.png")
    data = bytearray((tmp_path / "whole.png").read_bytes())
    third = len(data) // 3
    data[third : third + 4] = bytes(4)
    (tmp_path / "damaged.png").write_bytes(data)
    assert not isinstance(decode(tmp_path / "whole.png"), Skipped)
    assert isinstance(decode(tmp_path / "damaged.png"), Skipped)


def test_long_text_in_a_png_is_accepted(tmp_path):
    text = PngImagePlugin.PngInfo()
    text.add_text("workflow", '{"node": 1}' * 300_000, zip=True)
    Image.new("RGB", (40, 30), "red").save(tmp_path / "a.png", pnginfo=text)
    assert not isinstance(decode(tmp_path / "a.png"), Skipped)


def test_a_time_beyond_the_catalogs_range(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"x")
    try:
        os.utime(tmp_path / "a.jpg", (9_300_000_000, 9_300_000_000))
    except OverflowError:
        pytest.skip("this file system does not support such times")
    (file,) = FilesystemSource(str(tmp_path)).scan()
    assert -(2**63) < file.mtime_ns < 2**63
    assert clamped(10**20) == 2**63 - 1 and clamped(-(10**20)) == 1 - 2**63 and clamped(5) == 5


def test_one_picture_without_a_vector_does_not_end_the_run(tmp_path):
    """Half-precision overflows to NaN on some pictures, and the encoder says so."""
    for number in range(5):
        Image.new("RGB", (8 + number, 8)).save(tmp_path / f"{number}.png")

    class Fragile:
        space, input_size = SPACE, InputSize()

        def encode_images(self, images):
            if any(image.shape[1] == 10 for image in images):
                raise EncoderError("not a number")
            return unit_rows(len(images))

    pool = LocalPool(Fragile, lambda size, at_once: InlineDecoder(DecodeSettings(size)), 4)
    files = [ImageFile(str(tmp_path), f"{number}.png", 0, 0) for number in range(5)]
    results = list(pool.encode_files(files))
    assert [type(each) for each in results].count(Encoded) == 4
    (skipped,) = [each for each in results if isinstance(each, Skipped)]
    assert skipped.file.path == "2.png" and "not a number" in skipped.reason


def test_a_changed_file_that_cannot_be_read_keeps_its_place_and_a_broken_one_does_not(tmp_path):
    catalog = open_catalog(str(tmp_path / "library"), create=True)
    folder = MemoryFolder()
    folder.files = {"a.jpg": ("content 1", 1), "b.jpg": ("content 2", 1)}
    ingest(catalog, folder)
    both = {"/photos/a.jpg", "/photos/b.jpg"}
    folder.files["a.jpg"] = ("unreadable now", 2)
    assert ingest(catalog, folder).skipped == 1
    assert set(held(catalog)) == both
    folder.files["a.jpg"] = ("broken", 3)
    ingest(catalog, folder)
    assert set(held(catalog)) == {"/photos/b.jpg"}
    folder.files["a.jpg"] = ("content 1", 1)
    assert ingest(catalog, folder).encoded == 0
    assert set(held(catalog)) == both
    folder.files["a.jpg"] = ("content 3", 4)
    assert ingest(catalog, folder).encoded == 1
    assert catalog.skipped() == []


def test_the_removed_count_is_never_negative(tmp_path):
    catalog = open_catalog(str(tmp_path / "library"), create=True)
    folder = MemoryFolder()
    folder.files = {"a.jpg": ("content 1", 1), "b.jpg": ("content 2", 1)}
    ingest(catalog, folder)
    del folder.files["a.jpg"]
    assert ingest(catalog, folder).removed == 1
    folder.files["c.jpg"] = ("content 1", 3)
    report = ingest(catalog, folder)
    assert (report.moved, report.removed) == (1, 0)


def test_a_read_only_library_can_be_searched(tmp_path, monkeypatch):
    catalog = open_catalog(str(tmp_path / "library"), create=True)
    folder = MemoryFolder()
    folder.files = {"a.jpg": ("content 1", 1)}
    ingest(catalog, folder)
    catalog.close()
    # File permissions do not bind root, so patch the check instead.
    monkeypatch.setattr(sqlite_file.os, "access", lambda path, mode: False)
    before = sorted(os.listdir(tmp_path / "library"))
    again = open_catalog(str(tmp_path / "library"))
    vector = next(iter(held(again).values()))
    assert vector.dtype == np.float32 and vector.shape == (DIMENSION,)
    again.close()
    assert sorted(os.listdir(tmp_path / "library")) == before


@pytest.mark.parametrize("closed", ["<&- >&-", "2>&-", ">&- 2>&-"])
def test_closed_streams_give_no_traceback(tmp_path, closed):
    command = f'"{sys.executable}" -m imgsearch --library "{tmp_path}/none" roots {closed}'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
