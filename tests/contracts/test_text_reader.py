"""The contract of TextReader, for every implementation."""

from __future__ import annotations

import numpy as np
import pytest

from imgsearch.ocr import rapid
from imgsearch.ports import TextReader
from imgsearch.sources.decode import decode_path
from imgsearch.sources.decoders import DecodeSettings
from tests.conftest import FULL, PHOTOS, full_only

LONG = 3000 if FULL else 600
SHAPES = [(1, 1), (1, LONG), (LONG, 3), (31, 33), (300, 400)]


@pytest.fixture(scope="module")
def reader() -> TextReader:
    if not rapid.installed():
        pytest.skip("the extra ocr is not installed")
    return rapid.RapidReader(threads=1)


@full_only
@pytest.mark.parametrize("shape", SHAPES)
def test_a_blank_picture_of_any_shape_has_no_text(reader, shape):
    pixels = np.full((*shape, 3), 200, np.uint8)
    before = pixels.copy()
    assert reader.read(pixels) == "" and not reader.sees_text(pixels)
    assert np.array_equal(pixels, before)


def test_it_describes_itself(reader):
    assert reader.engine.isprintable()
    assert reader.engine
    glance, full = (each.scale(30_000, 20_000) for each in (reader.glance_size, reader.input_size))
    assert 0 < glance < full < 1, "memory is limited"


@full_only
@pytest.mark.parametrize("name", ["tabby_cat_face.jpg", "great_wall.jpg", "moose.jpg"])
def test_fur_stones_and_leaves_are_not_letters(reader, name):
    settings = DecodeSettings(input_size=reader.input_size)
    assert reader.read(decode_path(str(PHOTOS / name), settings).pixels) == ""


def test_narrow_pictures_get_margins():
    narrow = np.zeros((1, 2000, 3), np.uint8)
    padded = rapid._with_margins(narrow)
    assert padded.shape == (250, 2000, 3)
    assert padded[124:126].min() == 0 and padded[0].min() == 255
    assert rapid._with_margins(narrow.transpose(1, 0, 2)).shape == (2000, 250, 3)
    wide_enough = np.zeros((250, 2000, 3), np.uint8)
    assert rapid._with_margins(wide_enough) is wide_enough
    assert rapid._with_margins(np.zeros((3, 5, 3), np.uint8)).shape == (32, 32, 3)
