"""Decodes as much as possible of a file whose end is missing: an interrupted copy or download."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from imgsearch.sources.openers import open_image

MIN_SHARE = 0.25
"""Least share of the rows; with less, a picture stays skipped."""

_IN_ROWS = ("JPEG", "MPO", "PNG", "BMP", "GIF", "TIFF", "TGA", "PPM")
_NO_DATA_LEVEL = 128  # of blocks that libjpeg has no data for
_MAX_LEVELS_OFF = 2
_GREY = (_NO_DATA_LEVEL,) * 3
_BLOCK_PIXELS = 8
_BLACK, _WHITE = 0, 255


@contextmanager
def leniency() -> Iterator[None]:
    """A context in which Pillow decodes files that are cut off; global to the process."""
    before, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, True
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def load_part(data: bytes) -> tuple[Image.Image, tuple[int, int]] | None:
    """The image of a file that is cut off, and the rows of it that could be decoded.

    Returns
    -------
    image : Image
        Of the full size, loaded.
    rows : (first, after_last)

    None if the format is not stored in rows, or there are too few of them.
    """
    image = _loaded_over(data, _BLACK)
    if image is None:
        return None
    if image.format in ("JPEG", "MPO"):
        decoded = ~_filled_by_libjpeg(np.asarray(image))
    else:
        again = _loaded_over(data, _WHITE)
        if again is None:
            return None
        same = np.asarray(image) == np.asarray(again)  # the missing part is black and white
        decoded = same.reshape(image.height, -1).all(1)
    rows = _first_run(decoded)
    return (image, rows) if rows[1] - rows[0] >= MIN_SHARE * image.height else None


def fill_missing(image: Image.Image, rows: tuple[int, int], source: Image.Image) -> None:
    """Make the missing rows grey in an RGB image, scaled from `source`.

    The vector is nearer to that of the whole picture than without these rows: ADR 25.
    """
    if source.format in ("JPEG", "MPO"):  # libjpeg has done so, up to the last block
        return
    first, after_last = (round(row * image.height / source.height) for row in rows)
    image.paste(_GREY, (0, 0, image.width, first))
    image.paste(_GREY, (0, after_last, image.width, image.height))


def missing_note(rows: tuple[int, int], height: int) -> str:
    """The fault of the picture, in words for users."""
    missing = round(100 * (1 - (rows[1] - rows[0]) / height))
    if not missing:
        return "the file is cut off: its end is missing"
    return f"the file is cut off: {missing} % of the picture is missing"


def _loaded_over(data: bytes, level: int) -> Image.Image | None:
    """The image, decoded over a ground of one level."""
    image = open_image(data)
    if not isinstance(image, ImageFile.ImageFile) or image.format not in _IN_ROWS:
        return None
    if image.info.get("interlace"):
        return None
    image.load_prepare()
    bands = len(image.getbands())
    image.im.paste(level if bands == 1 else (level,) * bands, (0, 0, *image.im.size))
    image.load()
    return image


def _filled_by_libjpeg(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The rows at the end for whose last blocks there were no data: True."""
    ends = pixels[:, -_BLOCK_PIXELS:].reshape(len(pixels), -1).astype(np.int16)
    grey = np.abs(ends - _NO_DATA_LEVEL).max(1) <= _MAX_LEVELS_OFF
    from_the_end = np.logical_and.accumulate(grey[::-1])
    filled: NDArray[np.bool_] = from_the_end[::-1]
    return filled


def _first_run(decoded: NDArray[np.bool_]) -> tuple[int, int]:
    """The longest run of True that touches the first or last row, as (first, after_last)."""
    down = int(np.logical_and.accumulate(decoded).sum())
    up = int(np.logical_and.accumulate(decoded[::-1]).sum())
    return (0, down) if down >= up else (len(decoded) - up, len(decoded))
