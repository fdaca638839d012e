"""The frame that stands for an animation, a document or an icon."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from imgsearch.sources import frames
from imgsearch.sources.decode import decode_bytes
from imgsearch.sources.decoders import DecodeSettings
from tests.hostile_files import saved, scene

SIZE = (160, 100)
EMPTY = {
    "white": Image.new("RGBA", SIZE, "white"),
    "black": Image.new("RGBA", SIZE, "black"),
    "clear": Image.new("RGBA", SIZE, (0, 0, 0, 0)),
}
FORMATS = {
    "GIF": {},
    "PNG": {},
    "WEBP": {"lossless": True},
    "TIFF": {},
    "AVIF": {"quality": 95},
    "HEIF": {"quality": 95},
}


def frames_of(format: str, *images: Image.Image) -> bytes:
    first, *others = (image.convert("RGBA") for image in images)
    options = {**FORMATS[format], "save_all": True, "append_images": others}
    if format in ("GIF", "PNG", "WEBP"):
        options["duration"] = 100
    return saved(first, format, **options)


def shows(data: bytes, expected: Image.Image, settings: DecodeSettings | None = None) -> bool:
    pixels, metadata = decode_bytes(data, settings or DecodeSettings())
    assert (metadata.width, metadata.height) == expected.size
    return float(np.abs(pixels.astype(int) - np.asarray(expected.convert("RGB"))).mean()) < 14


@pytest.mark.parametrize("colour", EMPTY)
@pytest.mark.parametrize("format", FORMATS)
def test_an_empty_first_frame_gives_way(format, colour):
    assert shows(frames_of(format, EMPTY[colour], EMPTY[colour], scene()), scene())


@pytest.mark.parametrize("format", FORMATS)
def test_a_first_frame_that_shows_something_stays(format):
    turned = scene().transpose(Image.Transpose.ROTATE_180)
    assert shows(frames_of(format, scene(), turned), scene())


def test_if_all_are_empty_the_first_counts():
    assert shows(frames_of("GIF", EMPTY["white"], EMPTY["black"]), EMPTY["white"])


def test_an_empty_single_picture_stays():
    assert shows(saved(EMPTY["black"].convert("RGB"), "PNG"), EMPTY["black"])


def test_pages_of_other_sizes_and_kinds():
    page = scene(90, 60)
    data = saved(Image.new("1", SIZE, 1), "TIFF", save_all=True, append_images=[page])
    assert shows(data, page)


def test_the_number_of_frames_is_bounded():
    near = [EMPTY["white"].convert("RGB")] * (frames.MAX_FRAMES - 1)
    pages = {"save_all": True, "append_images": [*near[1:], scene()]}
    assert shows(saved(near[0], "TIFF", **pages), scene())
    pages = {"save_all": True, "append_images": [*near, scene()]}
    assert shows(saved(near[0], "TIFF", **pages), EMPTY["white"])


def test_all_frames_together_are_bounded_as_one_picture():
    data = frames_of("WEBP", EMPTY["white"], EMPTY["black"], scene())
    pixels = SIZE[0] * SIZE[1]
    assert shows(data, scene(), DecodeSettings(max_pixels=3 * pixels))
    assert shows(data, EMPTY["white"], DecodeSettings(max_pixels=2 * pixels))


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_a_broken_later_frame_leaves_the_first(format):
    data = frames_of(format, EMPTY["white"], scene())
    broken = data[: int(len(data) * 0.6)] + bytes(len(data) - int(len(data) * 0.6))
    try:
        pixels, _ = decode_bytes(broken, DecodeSettings())
    except Exception as error:
        assert type(error).__name__ == "Unusable"
    else:
        assert pixels.shape == (SIZE[1], SIZE[0], 3)


def test_an_icon_whose_largest_picture_is_empty():
    small = scene(32, 32)
    data = saved(
        EMPTY["clear"].resize((64, 64)),
        "ICO",
        sizes=[(64, 64), (32, 32)],
        append_images=[small.convert("RGBA")],
    )
    assert shows(data, small)
