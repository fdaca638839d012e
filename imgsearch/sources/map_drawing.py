"""Draws a map of pictures as a PNG: points, lines of density, names, and small pictures."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFont, PngImagePlugin

MARK = b"tEXtSoftware\0imgsearch"
"""In the first bytes of each drawing."""
SIDE = 1600
"""Width and height of a drawing in pixels."""
_MARGIN = 0.06
_TEXT = 26
_Point = tuple[float, float]


def map_png(
    positions: NDArray[np.float32],
    colours: Sequence[tuple[int, int, int]],
    numbers: NDArray[np.uint8],
    lines: Sequence[Sequence[_Point]],
    names: Sequence[tuple[str, float, float]],
    thumbnails: Mapping[int, bytes],
) -> bytes:
    """The drawing as a PNG, light, square.

    Parameters
    ----------
    positions : ndarray of shape (n, 2)
        From -1 to 1, y upwards.
    numbers : ndarray of shape (n,)
        Place of each point's colour in `colours`.
    lines : sequence of lines
        Of equal density.
    names : sequence of (text, x, y)
        The most important first; one that would cover another is left out.
    thumbnails : mapping of int to bytes
        JPEG of some points, which are shown instead of them.
    """
    canvas = Image.new("RGB", (SIDE, SIDE), "white")
    _points(canvas, positions, colours, numbers)
    pen = ImageDraw.Draw(canvas, "RGBA")
    for number, data in thumbnails.items():
        _paste(canvas, data, *_place(*positions[number].tolist()))
    for line in lines:
        pen.line([_place(*corner) for corner in line], fill=(40, 42, 46, 80), width=2)
    _names(pen, names)
    out = io.BytesIO()
    about = PngImagePlugin.PngInfo()
    about.add_text("Software", "imgsearch")
    canvas.save(out, "PNG", pnginfo=about)
    return out.getvalue()


def _place(x: float, y: float) -> _Point:
    half = SIDE / 2
    return half + x * half * (1 - 2 * _MARGIN), half - y * half * (1 - 2 * _MARGIN)


def _points(
    canvas: Image.Image,
    positions: NDArray[np.float32],
    colours: Sequence[tuple[int, int, int]],
    numbers: NDArray[np.uint8],
) -> None:
    """Discs, or single pixels that add up where there are very many."""
    radius = min(9.0, max(1.0, 400 / max(1, len(positions)) ** 0.5))
    pen = ImageDraw.Draw(canvas)
    for (x, y), number in zip(positions.tolist(), numbers.tolist(), strict=True):
        left, top = _place(x, y)
        box = (left - radius, top - radius, left + radius, top + radius)
        if radius > 1:
            pen.ellipse(box, fill=colours[number])
        else:
            pen.point((left, top), fill=colours[number])


def _paste(canvas: Image.Image, data: bytes, left: float, top: float) -> None:
    with Image.open(io.BytesIO(data)) as small:
        corner = round(left - small.width / 2), round(top - small.height / 2)
        canvas.paste(small.convert("RGB"), corner)


def _names(pen: ImageDraw.ImageDraw, names: Sequence[tuple[str, float, float]]) -> None:
    font = ImageFont.load_default(_TEXT)
    taken: list[tuple[float, float, float, float]] = []
    for text, x, y in names:
        box = pen.textbbox(_place(x, y), text, font=font, anchor="mm", stroke_width=4)
        if any(_overlap(box, other) for other in taken):
            continue
        taken.append(box)
        ink, halo = ImageColor.getrgb("#1b1c1e"), ImageColor.getrgb("#ffffff")
        pen.text(
            _place(x, y), text, fill=ink, font=font, anchor="mm", stroke_width=4, stroke_fill=halo
        )


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
