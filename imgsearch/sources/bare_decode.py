"""Decoding and preparation alone: an upper bound for the decoder processes.

`imgsearch bench feed` compares the delivery of pictures to a model with it, and makes its test
files here, because Pillow stays in this room.
"""

from __future__ import annotations

import io
import os

import numpy as np
from PIL import Image

from imgsearch.records import Decoded, ImageFile, ImageMetadata, Skipped
from imgsearch.sources.decoders import DecodeSettings
from imgsearch.sources.openers import open_image
from imgsearch.sources.pixels import model_input

FORMATS = {"JPEG": "jpg", "PNG": "png", "HEIF": "heic"}
"""Formats of test files, and their extensions."""
TEST_FILES = 4
"""Different test pictures; more are read from memory again, or are copies."""
_NO_PIXELS = np.empty((0, 0, 3), np.uint8)


def decode_bare(file: ImageFile, settings: DecodeSettings) -> Decoded | Skipped:
    """Decode and prepare a file, without hash, metadata or measures; the pixels are not sent."""
    try:
        return _decode(file, settings)
    except Exception:  # decoders raise nearly anything on broken files
        return Skipped(file, "cannot be decoded")


def _decode(file: ImageFile, settings: DecodeSettings) -> Decoded:
    with open(os.path.join(file.root, file.path), "rb") as stream:
        image = open_image(stream.read())
    full = image.size
    target = settings.input_size.decoded_size(*full)
    box = (image.draft("RGB", target) or ("", None))[1]
    rgb = image.convert("RGB")
    if rgb.size != target:
        rgb = rgb.resize(target, Image.Resampling.BICUBIC, box=box, reducing_gap=2.0)
    model_input(rgb, settings.input_size)
    return Decoded(file, "", ImageMetadata(*full, image.format or ""), _NO_PIXELS)


def write_test_pictures(folder: str, megapixels: float, form: str) -> list[str]:
    """Write `TEST_FILES` pictures of this size, 4:3, into a folder; returns their paths."""
    width = round((megapixels * 1e6 * 4 / 3) ** 0.5)
    paths = [os.path.join(folder, f"{number}.{FORMATS[form]}") for number in range(TEST_FILES)]
    for number, path in enumerate(paths):
        write_test_picture(path, width, width * 3 // 4, form, number)
    return paths


def write_test_picture(path: str, width: int, height: int, form: str, seed: int) -> None:
    """Write a picture with the detail of a photograph: noise of several scales, added up."""
    random = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), np.float32)
    for scale in (4, 32, 256):
        size = (height // scale + 2, width // scale + 2, 3)
        coarse = Image.fromarray(random.integers(0, 256, size, dtype=np.uint8))
        total += np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float32)
    out = io.BytesIO()
    Image.fromarray((total / 3).astype(np.uint8)).save(out, form, quality=90)
    with open(path, "wb") as file:
        file.write(out.getvalue())
