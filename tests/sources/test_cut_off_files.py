"""Files whose end is missing are decoded as far as they go."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image, ImageFile

from imgsearch.model_card import InputSize
from imgsearch.sources.decode import decode_bytes
from imgsearch.sources.decoders import DecodeSettings
from imgsearch.sources.guarded_files import Unusable
from tests.conftest import PHOTOS
from tests.hostile_files import saved

WIDTH, HEIGHT = 240, 160
FORMS = {
    "baseline": ("JPEG", {"quality": 95}),
    "gray": ("JPEG", {"quality": 95}),
    "restarts": ("JPEG", {"quality": 95, "restart_marker_rows": 1}),
    "PNG": ("PNG", {}),
    "BMP": ("BMP", {}),
    "TGA": ("TGA", {}),
    "PPM": ("PPM", {}),
    "TIFF": ("TIFF", {}),
}


def photo() -> Image.Image:
    with Image.open(PHOTOS / "crab.jpg") as image:
        return image.convert("RGB").resize((WIDTH, HEIGHT))


def cut(name: str, share: float) -> bytes:
    format, options = FORMS[name]
    image = photo().convert("L") if name == "gray" else photo()
    data = saved(image, format, **options)
    return data[: int(len(data) * share)]


@pytest.mark.parametrize("share", [0.5, 0.7, 0.9])
@pytest.mark.parametrize("name", FORMS)
def test_the_rows_that_are_there_are_decoded_and_the_rest_is_noted(name, share):
    pixels, metadata = decode_bytes(cut(name, share), DecodeSettings())
    whole = np.asarray(photo().convert("L" if name == "gray" else "RGB").convert("RGB"))
    assert pixels.shape == (HEIGHT, WIDTH, 3)
    if name in ("BMP", "TGA"):  # these are stored upside down
        pixels, whole = pixels[::-1], whole[::-1]
    found = re.fullmatch(r"the file is cut off: (\d+) % of the picture is missing", metadata.note)
    rows = round(HEIGHT * (1 - int(found[1]) / 100))
    near = np.abs(pixels.astype(int) - whole).mean(axis=(1, 2)) < 12
    assert near[: rows - 2].all()
    assert (np.abs(pixels[rows + 18 :].astype(int) - 128) <= 2).all()
    assert abs(rows / HEIGHT - share) < 0.3
    assert (metadata.width, metadata.height) == (WIDTH, HEIGHT)
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


@pytest.mark.parametrize("name", FORMS)
def test_less_than_a_quarter_is_skipped(name):
    with pytest.raises(Unusable, match=r"is cut off|damaged"):
        decode_bytes(cut(name, 0.1), DecodeSettings())


def test_a_progressive_jpeg_is_whole_but_coarser():
    data = saved(photo(), "JPEG", quality=95, progressive=True)
    pixels, metadata = decode_bytes(data[: len(data) // 2], DecodeSettings())
    assert pixels.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(pixels.astype(int) - np.asarray(photo())).mean() < 12
    assert metadata.note == "the file is cut off: its end is missing"


@pytest.mark.parametrize("format", ["WEBP", "HEIF", "AVIF", "JPEG2000"])
def test_formats_that_are_not_stored_in_rows_stay_skipped(format):
    data = saved(photo(), format)
    with pytest.raises(Unusable):
        decode_bytes(data[: len(data) * 2 // 3], DecodeSettings())


def test_an_interlaced_png_stays_skipped():
    data = bytearray(saved(photo(), "PNG"))
    data[28] = 1
    with pytest.raises(Unusable):
        decode_bytes(bytes(data[: len(data) // 2]), DecodeSettings())


def test_a_whole_file_has_no_note():
    assert decode_bytes(saved(photo(), "JPEG"), DecodeSettings())[1].note is None


def test_a_part_is_scaled_and_turned_as_the_whole_would_be():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(photo(), "JPEG", quality=95, exif=exif.tobytes())
    pixels, metadata = decode_bytes(
        data[: int(len(data) * 0.7)], DecodeSettings(InputSize(short=40))
    )
    assert (metadata.width, metadata.height) == (HEIGHT, WIDTH)
    assert min(pixels.shape[:2]) == 40 and pixels.shape[0] > pixels.shape[1]
    assert metadata.note and "is missing" in metadata.note
