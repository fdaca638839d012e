"""What pixels measure: right values of known pictures, and the same for all models."""

from __future__ import annotations

import io
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from imgsearch.encoders.builtin import INPUT_SIZE
from imgsearch.encoders.gme.resize import SquareSteps, VisualTokens
from imgsearch.encoders.preparation import FixedSize
from imgsearch.model_card import InputSize
from imgsearch.records import ImageMetadata, Measures
from imgsearch.sources.decode import decode_bytes, decode_picture
from imgsearch.sources.decoders import MEASURED_SIZE, DecodeSettings
from imgsearch.sources.pixel_measures import measure

PHOTOS = Path(__file__).parents[2] / "data" / "photos"
SIZES = {
    "builtin": INPUT_SIZE,
    "clip": InputSize(short=224, preparation=FixedSize(224, 224, crops=True)),
    "siglip": InputSize(short=384, preparation=FixedSize(384, 384, crops=False)),
    "gme": InputSize(area=1280 * 28**2, preparation=SquareSteps(VisualTokens())),
    "fewest tokens": InputSize(area=4 * 28**2, preparation=SquareSteps(VisualTokens(1, 4))),
    "described": MEASURED_SIZE,
    "tiny": InputSize(short=32),
}
TOLERANCES = {"sharpness": 0.05, "brightness": 0.01, "shadows": 0.02, "highlights": 0.02,
              "contrast": 0.01, "colourfulness": 1.5}  # fmt: skip
"""Stated in docs/CURATION.md."""


def of(array: np.ndarray, **metadata) -> Measures:
    image = Image.fromarray(array.astype(np.uint8))
    values = {"width": image.width, "height": image.height, "format": "JPEG"} | metadata
    return measure(image, ImageMetadata(**values))


def even(red: int, green: int, blue: int) -> np.ndarray:
    return np.full((90, 120, 3), (red, green, blue))


def taken(data: bytes, size: InputSize = INPUT_SIZE, name: str = "") -> Measures:
    measures = decode_picture(data, DecodeSettings(size, measured=True), name).measures
    assert measures is not None
    return measures


def saved(image: Image.Image, form: str, **options) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def noise(height: int = 144, width: int = 192) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3))


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (even(0, 0, 0), (0, 0, 1, 0, 0, 0)),
        (even(255, 255, 255), (0, 1, 0, 1, 0, 0)),
        (even(51, 51, 51), (0, 0.2, 0, 0, 0, 0)),
        # red - green = 255, (red + green) / 2 - blue = 127.5: 0.3 * hypot(255, 127.5)
        (even(255, 0, 0), (0, 76 / 255, 0, 0, 0, 85.53)),
    ],
    ids=["black", "white", "grey", "red"],
)
def test_pictures_of_one_colour(array, expected):
    found = of(array)
    names = ("sharpness", "brightness", "shadows", "highlights", "contrast", "colourfulness")
    assert [getattr(found, name) for name in names] == pytest.approx(expected, abs=0.003)


def test_half_black_and_half_white():
    found = of(np.concatenate([even(0, 0, 0), even(255, 255, 255)]))
    assert (found.brightness, found.shadows, found.highlights) == (0.5, 0.5, 0.5)
    assert found.contrast == 0.5, "the largest there is"


def test_the_colourfulness_of_two_colours():
    # red - green is 255 and -255, (red + green) / 2 - blue is 127.5 twice: deviations 255 and 0.
    found = of(np.concatenate([even(255, 0, 0), even(0, 255, 0)]))
    assert found.colourfulness == pytest.approx(255 + 0.3 * 127.5, abs=0.1)


def test_the_more_a_picture_is_blurred_the_less_sharp_it_is():
    for path in sorted(PHOTOS.glob("*.jpg"))[::6]:
        photo = Image.open(path).convert("RGB")
        about = ImageMetadata(*photo.size, "JPEG")
        radii = (0, 0.004, 0.008, 0.016)
        found = [
            measure(photo.filter(ImageFilter.GaussianBlur(each * max(photo.size))), about).sharpness
            for each in radii
        ]
        assert found == sorted(found, reverse=True) and found[-1] < 0.1 < found[0], path.name


def test_a_blurred_background_does_not_make_a_picture_unsharp():
    shown = np.full((144, 192, 3), 128)
    shown[40:104, 60:130] = noise(64, 70)
    blurred = Image.fromarray(shown.astype(np.uint8)).filter(ImageFilter.GaussianBlur(4))
    assert of(shown).sharpness > 0.7 > 0.2 > of(np.asarray(blurred)).sharpness


def test_dull_light_does_not_make_a_picture_unsharp():
    assert of(noise() * 0.3 + 20).sharpness == pytest.approx(of(noise()).sharpness, abs=0.1)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (3, 3), (19, 19)])
def test_any_shape_can_be_measured(shape):
    found = of(np.full((*shape, 3), 200))
    assert found.brightness == pytest.approx(200 / 255, abs=0.001) and found.sharpness == 0


def test_all_models_measure_alike():
    files = [*sorted(PHOTOS.glob("*.jpg"))[::8], *PHOTOS.glob("*.heic"), *PHOTOS.glob("*.webp")]
    large = Image.open(PHOTOS / "bison.jpg").resize((2400, 1600))  # decoded in several reductions
    contents = [path.read_bytes() for path in files] + [saved(large, "JPEG")]
    for number, data in enumerate(contents):
        expected = taken(data)
        for name, size in SIZES.items():
            found = taken(data, size)
            assert found.kind == expected.kind, (number, name)
            for field, tolerance in TOLERANCES.items():
                apart = abs(getattr(found, field) - getattr(expected, field))
                assert apart <= tolerance, (number, name, field, found, expected)


@pytest.mark.parametrize("name", ["builtin", "clip", "siglip", "gme"])
def test_measuring_changes_no_input_of_a_model(name):
    for path in (*sorted(PHOTOS.glob("*.jpg"))[::9], *PHOTOS.glob("*.heic")):
        data = path.read_bytes()
        plain, metadata = decode_bytes(data, DecodeSettings(SIZES[name]))
        measured = decode_picture(data, DecodeSettings(SIZES[name], measured=True))
        assert np.array_equal(measured.pixels, plain) and measured.metadata == metadata


def test_nothing_is_measured_unless_requested():
    assert decode_picture(saved(Image.new("RGB", (9, 9)), "PNG"), DecodeSettings()).measures is None


def test_the_first_frame_with_content_is_measured():
    shown = Image.fromarray(noise(120, 160).astype(np.uint8))
    frames = [Image.new("RGB", shown.size), shown]
    data = saved(frames[0], "PNG", save_all=True, append_images=frames[1:])
    for size in (INPUT_SIZE, InputSize(short=32)):
        assert taken(data, size) == replace(of(noise(120, 160)), kind="photo")


def page(width: int, height: int) -> Image.Image:
    """Black text on white paper."""
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(height / 80)
    for y in range(height // 20, height - height // 20, height // 50):
        line = "the quick brown fox jumps over the lazy dog " * 9
        draw.text((width // 12, y), line, "black", font)
    draw.rectangle((width - width // 12, 0, width, height), "white")
    return image


def desktop(width: int, height: int) -> Image.Image:
    """A bar, a panel and a few windows."""
    image = Image.new("RGB", (width, height), (30, 60, 110))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, width, height // 20), (40, 40, 40))
    draw.rectangle((width // 6, height // 6, width // 2, height // 2), (240, 240, 240))
    draw.text((width // 5, height // 5), "File  Edit  View", "black")
    return image


def shot(image: Image.Image, form: str, **exif) -> bytes:
    tags = Image.Exif()
    for number, value in exif.items():
        tags[int(number.removeprefix("tag"))] = value
    return saved(image, form, exif=tags)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (saved(page(1240, 1754), "PNG"), "document"),
        (saved(page(1275, 1650), "JPEG", quality=85), "document"),
        (shot(page(1500, 2000), "JPEG", tag272="Pixel 8"), "document"),
        (saved(desktop(1920, 1080), "PNG"), "screenshot"),
        (saved(desktop(1080, 2400), "JPEG"), "screenshot"),
        (shot(desktop(1920, 1080), "JPEG", tag272="Pixel 8"), "photo"),
        (saved(desktop(1500, 1000), "JPEG"), "photo"),
    ],
    ids=["page", "scan", "page before a camera", "desktop", "phone", "camera", "other shape"],
)
def test_the_kind_of_a_picture(data, expected):
    assert taken(data).kind == expected


def test_the_kinds_of_the_demo_photos():
    kinds = {path.stem: taken(path.read_bytes(), name=path.name).kind for path in PHOTOS.iterdir()}
    assert {name for name, kind in kinds.items() if kind == "document"} == {"receipt"}
    assert sum(kind == "screenshot" for kind in kinds.values()) <= 1, kinds


def test_all_measures_are_plain_numbers():
    found = asdict(of(noise()))
    assert all(type(value) is (str if name == "kind" else float) for name, value in found.items())
