"""Measures of a picture: sharpness, exposure, contrast, colours, and a guess of its kind.

They are taken while a file is decoded, from pixels that are decoded anyway, scaled to one size for
all models. docs/CURATION.md describes them for users.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imgsearch.model_card import InputSize
from imgsearch.records import DOCUMENT, PHOTO, SCREENSHOT, ImageMetadata, Measures

SIZE = InputSize(long=192)
"""The size at which pictures are measured, slightly smaller than any model's input, so that the
last filter is the same for all models."""
SHARPNESS_MIDPOINT = 0.175
"""The median of (variance of Laplacian / variance of luma) of 454 photos, which becomes 0.5."""
TILES_PER_SIDE = 4
"""Tiles per side. A quarter of all is at least as sharp as the picture counts: its subject."""
MIN_TILE_PIXELS = 4
FLAT_VARIANCE = 1e-3
"""Keeps noise in an even tile from counting as sharpness."""
MAX_SHADOW_LEVEL, MIN_HIGHLIGHT_LEVEL = 5, 250
"""Levels of luma up to which a pixel is black, and from which it is white."""
DECIMALS = 4

EVEN_LEVELS = 1
"""Difference to the pixels above and to the left up to which a pixel is even."""
PAPER_CELL_PIXELS = 6
MIN_PAPER_LEVEL, MAX_PAPER_CHROMA, MIN_INK_LEVELS = 120, 40, 35
MIN_PAPER_SHARE, MIN_INK_SHARE, MIN_PAPER_EVEN_SHARE = 0.7, 0.3, 0.2
MAX_PAPER_SPREAD_LEVELS = 17
"""A page: the shares of cells that are paper, of paper with ink, and of even pixels; and the
standard deviation of the brightness of its paper in levels, which light from the side causes."""
MIN_ONE_COLOUR_SHARE, MIN_SCREEN_EVEN_SHARE = 0.14, 0.18
"""A screen: the shares of pixels that have one and the same colour, and of even pixels."""
SHEET_ASPECTS = 1.2, 1.5
"""Height to width of an upright sheet: Letter 1.29, A4 1.41."""
SCREEN_ASPECTS = (16 / 10, 16 / 9, 18 / 9, 18.5 / 9, 19 / 9, 19.5 / 9, 20 / 9)
MAX_ASPECT_ERROR = 0.01
LOSSLESS = ("PNG", "WEBP", "GIF", "BMP", "QOI")
"""Formats of screenshots; cameras write others."""

Luma = NDArray[np.floating[Any]]


def measure(image: Image.Image, metadata: ImageMetadata) -> Measures:
    """The measures of an upright RGB image, which may be scaled down from that of `metadata`.

    Parameters
    ----------
    image : Image
        8-bit sRGB, at least of the size that `decoders.MEASURED_SIZE` gives for this picture.
    metadata : ImageMetadata
        Its full size, format and camera.
    """
    size = SIZE.decoded_size(metadata.width, metadata.height)
    if image.size != size:
        image = image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    levels = np.asarray(image.convert("L"))
    planes = np.stack([np.asarray(plane) for plane in image.split()]).astype(np.int16)
    luma: Luma = levels.astype(np.float32) / np.float32(255)
    return Measures(
        sharpness=_rounded(sharpness(luma)),
        brightness=_rounded(luma.mean()),
        shadows=_rounded((levels <= MAX_SHADOW_LEVEL).mean()),
        highlights=_rounded((levels >= MIN_HIGHLIGHT_LEVEL).mean()),
        contrast=_rounded(luma.std()),
        colourfulness=_rounded(colourfulness(planes)),
        kind=kind(planes, levels, metadata),
    )


def sharpness(luma: Luma) -> float:
    """Sharpness of the sharpest quarter of a picture, 0 to 1; 0.5 is the median of photos.

    In each of 4 x 4 tiles: the variance of the Laplacian of the smoothed luma (Pech-Pacheco et al.,
    "Diatom autofocusing in brightfield microscopy", ICPR 2000), divided by the variance of that
    luma, so that a dull picture is not taken for a blurred one. The fourth largest quotient q
    becomes q / (q + `SHARPNESS_MIDPOINT`).

    Parameters
    ----------
    luma : ndarray of shape (height, width), float32, 0 to 1
    """
    if min(luma.shape) < TILES_PER_SIDE * MIN_TILE_PIXELS + 4:
        return 0.0
    smooth = (luma[:-2] + 2 * luma[1:-1] + luma[2:]) / 4
    smooth = (smooth[:, :-2] + 2 * smooth[:, 1:-1] + smooth[:, 2:]) / 4
    centre: Luma = smooth[1:-1, 1:-1]
    laplacian: Luma = 4 * centre - smooth[:-2, 1:-1] - smooth[2:, 1:-1]
    laplacian -= smooth[1:-1, :-2] + smooth[1:-1, 2:]
    quotients = _variances(laplacian) / (_variances(centre) + FLAT_VARIANCE)
    quotient = float(np.sort(quotients)[-TILES_PER_SIDE])
    return quotient / (quotient + SHARPNESS_MIDPOINT)


def _variances(values: Luma) -> NDArray[np.float32]:
    """The variances of the tiles, shape (16,); the last rows and columns are left over."""
    height, width = (side // TILES_PER_SIDE for side in values.shape)
    tiles = values[: height * TILES_PER_SIDE, : width * TILES_PER_SIDE].reshape(
        TILES_PER_SIDE, height, TILES_PER_SIDE, width
    )
    rows = tiles.transpose(0, 2, 1, 3).reshape(TILES_PER_SIDE * TILES_PER_SIDE, height * width)
    centred = rows - rows.mean(axis=1, keepdims=True)
    variances: NDArray[np.float32] = (centred * centred).mean(axis=1)
    return variances


def colourfulness(planes: NDArray[np.int16]) -> float:
    """The measure M3 of Hasler and Suesstrunk, "Measuring colourfulness in natural images" (SPIE
    5007, 2003): 0 is grey, 33 moderately, 59 quite, from 109 on extremely colourful.

    Parameters
    ----------
    planes : ndarray of shape (3, height, width), int16, 0 to 255
        Red, green and blue.
    """
    red, green, blue = planes.reshape(3, -1).astype(np.float32)
    differences = red - green, (red + green) / 2 - blue
    means = [float(each.mean()) for each in differences]
    squares = [float(each @ each) / each.size for each in differences]
    variance = sum(square - mean**2 for square, mean in zip(squares, means, strict=True))
    return math.sqrt(max(0.0, variance)) + 0.3 * math.hypot(*means)


def kind(planes: NDArray[np.int16], levels: NDArray[np.uint8], metadata: ImageMetadata) -> str:
    """A guess: "photo", "screenshot" or "document".

    A document is bright paper with ink; a screenshot has much of one exact colour, no camera, and
    the format or the shape of one. Everything else counts as a photo, drawings as well.
    """
    luma = levels.astype(np.int16)
    if _evenness(luma[None], EVEN_LEVELS + 1) < MIN_SCREEN_EVEN_SHARE:
        return PHOTO  # most photos, at once: where luma is uneven, colours are
    evenness = _evenness(planes)
    is_page = evenness >= MIN_PAPER_EVEN_SHARE and _is_page(planes, luma)
    if metadata.camera_make or metadata.camera_model:
        return DOCUMENT if is_page else PHOTO
    tall = metadata.height / metadata.width
    is_sheet = is_page and SHEET_ASPECTS[0] <= tall <= SHEET_ASPECTS[1]
    may_be_screen = evenness >= MIN_SCREEN_EVEN_SHARE and _may_be_screen(metadata)
    if may_be_screen and not is_sheet and _one_colour(planes) >= MIN_ONE_COLOUR_SHARE:
        return SCREENSHOT
    return DOCUMENT if is_page else PHOTO


def _may_be_screen(metadata: ImageMetadata) -> bool:
    """True for a format or a shape that photos do not have."""
    sides = sorted((metadata.width, metadata.height))
    aspect = sides[1] / sides[0]
    shaped = any(abs(aspect / each - 1) <= MAX_ASPECT_ERROR for each in SCREEN_ASPECTS)
    return metadata.format in LOSSLESS or shaped


def _evenness(planes: NDArray[np.int16], most: int = EVEN_LEVELS) -> float:
    """The share of pixels that differ by at most some levels from those above and to the left."""
    height, width = planes.shape[1:]
    if min(height, width) < 2:
        return 0.0
    even = np.ones((height - 1, width - 1), np.bool_)
    for plane in planes:
        even &= np.abs(plane[1:, 1:] - plane[:-1, 1:]) <= most
        even &= np.abs(plane[1:, 1:] - plane[1:, :-1]) <= most
    return float(even.mean())


def _one_colour(planes: NDArray[np.int16]) -> float:
    """The share of the most frequent colour."""
    red, green, blue = planes.astype(np.int32)
    codes = (red << 16) + (green << 8) + blue
    return float(np.unique(codes, return_counts=True)[1].max() / codes.size)


def _is_page(planes: NDArray[np.int16], luma: NDArray[np.int16]) -> bool:
    shades = _cells(luma)
    if not shades.size:
        return False
    place = int(0.9 * shades.shape[1])
    bright = np.partition(shades, place, axis=1)[:, place]
    paper = bright >= MIN_PAPER_LEVEL
    if paper.mean() < MIN_PAPER_SHARE:
        return False
    chromas = _cells(planes.max(axis=0) - planes.min(axis=0))
    paper &= np.median(chromas, axis=1) <= MAX_PAPER_CHROMA
    if paper.mean() < MIN_PAPER_SHARE or bright[paper].std() > MAX_PAPER_SPREAD_LEVELS:
        return False
    ink = bright - shades.min(axis=1) >= MIN_INK_LEVELS
    return bool(ink[paper].mean() >= MIN_INK_SHARE)


def _cells(values: NDArray[np.int16]) -> NDArray[np.int16]:
    """The values of each cell of `PAPER_CELL_PIXELS` a side, shape (cells, pixels)."""
    side = PAPER_CELL_PIXELS
    rows, columns = (length // side for length in values.shape)
    cells = values[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return cells.transpose(0, 2, 1, 3).reshape(rows * columns, side * side)


def _rounded(value: float) -> float:
    return round(float(value), DECIMALS)
