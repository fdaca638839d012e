"""The ground under transparent pictures, and the dots of dithered ones."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from imgsearch.sources.decode import decode_bytes
from imgsearch.sources.decoders import DecodeSettings
from tests.hostile_files import saved, scene

CLEAR = (255, 255, 255, 0)
WHITE, BLACK = (255, 255, 255), (0, 0, 0)


def drawing(*colours: tuple[int, ...], ground: tuple[int, ...] = CLEAR) -> Image.Image:
    image = Image.new("RGBA", (90, 60), ground)
    draw = ImageDraw.Draw(image)
    width = 60 // len(colours)
    for place, colour in enumerate(colours):
        draw.rectangle((15 + place * width, 15, 14 + (place + 1) * width, 45), fill=colour)
    return image


def ground_of(data: bytes) -> tuple[int, ...]:
    pixels, _ = decode_bytes(data, DecodeSettings())
    return tuple(pixels[0, 0].tolist())


@pytest.mark.parametrize(
    ("colours", "ground"),
    [
        ([(255, 255, 255, 255)], BLACK),
        ([(250, 250, 240, 255)], BLACK),
        ([(255, 255, 255, 90)], BLACK),
        ([(255, 255, 255, 255)] * 5 + [(0, 0, 255, 255)], BLACK),
        ([(0, 0, 0, 255)], WHITE),
        ([(128, 128, 128, 255)], WHITE),
        ([(255, 230, 0, 255)], WHITE),
        ([(255, 255, 255, 255), (0, 0, 0, 255)], WHITE),
        ([(0, 0, 0, 60)], WHITE),
    ],
)
@pytest.mark.parametrize(
    ("format", "options"), [("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})]
)
def test_a_drawing_is_put_on_the_ground_it_stands_out_from(colours, ground, format, options):
    assert ground_of(saved(drawing(*colours), format, **options)) == ground


def test_gray_with_alpha_and_palettes_are_put_on_the_same_ground():
    white = drawing((255, 255, 255, 255))
    assert ground_of(saved(white.convert("LA"), "PNG")) == BLACK
    palette = Image.new("P", (90, 60), 0)
    palette.putpalette([255, 255, 255, 250, 250, 250])
    palette.paste(1, (20, 20, 60, 40))
    assert ground_of(saved(palette, "PNG", transparency=0)) == BLACK
    assert ground_of(saved(palette, "GIF", transparency=0)) == BLACK
    assert ground_of(saved(palette, "PNG", transparency=bytes((0, 200)))) == BLACK


def test_white_drawings_differ_from_each_other_and_from_nothing():
    shapes = [drawing((255, 255, 255, 255)), drawing(*[(255, 255, 255, 255), CLEAR] * 2)]
    shapes.append(Image.new("RGBA", (90, 60), CLEAR))
    seen = {decode_bytes(saved(each, "PNG"), DecodeSettings())[0].tobytes() for each in shapes}
    assert len(seen) == 3


def test_nothing_visible_is_white():
    hidden = Image.new("RGBA", (9, 9), (200, 0, 0, 0))
    assert ground_of(saved(hidden, "PNG")) == WHITE


def test_a_half_transparent_photo_stays_on_white():
    photo = scene()
    photo.putalpha(Image.linear_gradient("L").resize(photo.size))
    pixels, _ = decode_bytes(saved(photo, "PNG"), DecodeSettings())
    alpha = np.asarray(photo, float)[:, :, 3:] / 255
    expected = np.asarray(photo, float)[:, :, :3] * alpha + 255 * (1 - alpha)
    assert np.abs(pixels - expected).max() <= 1


def light(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("L"), np.float64)


DITHERED_FILES = {
    "PNG": {},
    "TIFF": {"compression": "group4"},
    "BMP": {},
    "GIF": {},
    "PPM": {},
    "WEBP": {"lossless": True},
}


@pytest.mark.parametrize("format", DITHERED_FILES)
def test_the_dots_of_a_dithered_picture_are_averaged(format):
    gray = scene().convert("L")
    pixels, _ = decode_bytes(
        saved(gray.convert("1"), format, **DITHERED_FILES[format]), DecodeSettings()
    )
    assert pixels.shape == (*gray.size[::-1], 3)
    distance = np.abs(pixels[:, :, 0] - light(gray)).mean()
    assert distance < np.abs(light(gray.convert("1")) - light(gray)).mean() / 2


def test_dots_in_the_order_of_a_matrix_are_averaged():
    matrix = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]]) * 16 + 8
    gray = light(scene(160, 100))
    dots = Image.fromarray(np.where(gray > np.tile(matrix, (25, 40)), 255, 0).astype(np.uint8))
    pixels, _ = decode_bytes(saved(dots, "PNG"), DecodeSettings())
    assert np.abs(pixels[:, :, 0] - gray).mean() < np.abs(light(dots) - gray).mean() / 2


def test_a_text_and_a_drawing_of_two_colours_keep_their_edges():
    page = Image.new("1", (300, 200), 1)
    draw = ImageDraw.Draw(page)
    for line in range(0, 200, 12):
        draw.text((4, line), "The quick brown fox; 1.5 i: it jumps ... " * 2, fill=0)
    for shapes in (page, Image.fromarray(light(scene()) > 128)):
        pixels, _ = decode_bytes(saved(shapes, "PNG"), DecodeSettings())
        assert np.array_equal(pixels[:, :, 0], light(shapes))


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (2, 90), (90, 1)])
def test_pictures_too_small_for_a_dot_with_neighbours(size):
    dots = np.indices(size[::-1]).sum(0) % 2 == 1
    pixels, _ = decode_bytes(saved(Image.fromarray(dots), "PNG"), DecodeSettings())
    assert np.array_equal(pixels[:, :, 0] > 0, dots)
