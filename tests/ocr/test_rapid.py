"""What RapidOCR's detector sees at a glance, in small pictures."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from imgsearch.model_card import InputSize
from imgsearch.ocr import rapid
from imgsearch.records import Decoded
from imgsearch.sources.decode import decode_path
from imgsearch.sources.decoders import DecodeSettings
from imgsearch.vectors import Pixels
from tests.conftest import PHOTOS, full_only

WHITE, BLACK = (255, 255, 255), (0, 0, 0)


@pytest.fixture(scope="module")
def reader() -> rapid.RapidReader:
    if not rapid.installed():
        pytest.skip("the extra ocr is not installed")
    return rapid.RapidReader(threads=1)


def label(
    text: str,
    height: int = 24,
    ink: tuple[int, int, int] = BLACK,
    paper: tuple[int, int, int] = WHITE,
    font: str = "",
) -> Image.Image:
    """A line of text with letters of this height, on a card of 320 x 120 pixels."""
    image = Image.new("RGB", (320, 120), paper)
    letters = ImageFont.truetype(font, height) if font else ImageFont.load_default(height)
    ImageDraw.Draw(image).text((30, 30), text, fill=ink, font=letters)
    return image


def photo(name: str, size: InputSize) -> Pixels:
    decoded = decode_path(str(PHOTOS / name), DecodeSettings(input_size=size))
    assert isinstance(decoded, Decoded)
    return decoded.pixels


@pytest.mark.parametrize("height", [8, 12, 24, 60])
def test_letters_of_any_size_are_seen(reader, height):
    assert reader.sees_text(np.asarray(label("Corner Shop", height)))


@pytest.mark.parametrize("text", ["No", "Bar", "EXIT", "4711"])
def test_short_words_in_large_letters_are_seen(reader, text):
    assert reader.sees_text(np.asarray(label(text, 36)))


@pytest.mark.parametrize(("ink", "paper"), [
    (WHITE, BLACK),
    ((225, 225, 225), WHITE),
    ((200, 40, 40), (40, 140, 60)),
    ((250, 220, 120), (230, 230, 240)),
])  # fmt: skip
def test_letters_of_any_contrast_are_seen(reader, ink, paper):
    assert reader.sees_text(np.asarray(label("Corner Shop", 24, ink, paper)))


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_letters_on_their_side_are_seen(reader, degrees):
    turned = label("Corner Shop").rotate(degrees, expand=True)
    assert reader.sees_text(np.asarray(turned))


@pytest.mark.parametrize("text", ["13.82", "Москва", "Ελληνικά", "שלום", "Crème brûlée"])
def test_digits_and_other_scripts_are_seen(reader, text):
    """Also those that the engine does not read; a later one may."""
    try:
        image = label(text, font="DejaVuSans.ttf")
    except OSError:
        pytest.skip("DejaVu Sans is not installed")
    assert reader.sees_text(np.asarray(image))


@pytest.mark.parametrize("name", ["great_wall.jpg", "koala.jpg", "mountain_trail.jpg", "moose.jpg"])
def test_photos_without_text_are_passed_over(reader, name):
    assert not reader.sees_text(photo(name, InputSize(long=320)))


def test_patterns_are_not_text(reader):
    noise = np.random.default_rng(1).integers(0, 255, (120, 320, 3), np.uint8)
    stripes = np.zeros((120, 320, 3), np.uint8)
    stripes[::12] = 255
    blank = np.full((1, 3, 3), 77, np.uint8)
    assert not any(reader.sees_text(each) for each in (noise, stripes, blank))


@full_only
def test_a_sign_in_a_photo_is_seen_and_read(reader):
    image = Image.fromarray(photo("great_wall.jpg", reader.glance_size))
    font = ImageFont.load_default(30)
    ImageDraw.Draw(image).text((60, 60), "Exit only", fill=WHITE, font=font)
    assert reader.sees_text(np.asarray(image))
    assert reader.read(np.asarray(image)) == "Exit only"


def test_a_glance_is_at_most_as_large_as_its_size(reader, monkeypatch):
    """A larger image, such as one with margins, is scaled down, so that its time is bounded."""
    seen: list[tuple[int, ...]] = []
    reader.sees_text(np.asarray(label("Shop")))

    def noted(batch: np.ndarray) -> np.ndarray:
        seen.append(batch.shape)
        return np.zeros((1, 1, *batch.shape[2:]), np.float32)

    monkeypatch.setattr(reader._detector.text_det, "session", noted)
    for shape in ((900, 1200, 3), (2000, 1, 3), (30, 1200, 3)):
        reader.sees_text(np.full(shape, 200, np.uint8))
    assert len(seen) == 3 and all(max(shape[2:]) <= rapid.GLANCE_SIDE_PIXELS for shape in seen)
    assert seen[0] == (1, 3, 480, 640)


def test_square_boxes_must_be_surer_than_long_ones():
    square = np.array([[[0, 0], [10, 0], [10, 10], [0, 10]]], np.int32)
    long = np.array([[[0, 0], [40, 0], [40, 10], [0, 10]]], np.int32)
    assert not rapid._is_text(square, np.array([0.79]))
    assert rapid._is_text(square, np.array([0.8])) and rapid._is_text(long, np.array([0.25]))
    assert not rapid._is_text(long, np.array([0.24]))
    assert rapid._is_text(np.concatenate([square, long]), np.array([0.3, 0.3]))


def test_the_aspect_of_a_box_is_that_of_its_sides_however_it_lies():
    boxes = np.array([
        [[0, 0], [40, 0], [40, 10], [0, 10]],
        [[0, 0], [10, 0], [10, 40], [0, 40]],
        [[0, 0], [30, 40], [24, 48], [-6, 8]],
        [[5, 5], [5, 5], [5, 5], [5, 5]],
    ], np.int32)  # fmt: skip
    assert rapid._aspects(boxes).tolist() == [4.0, 4.0, 5.0, 0.0]
