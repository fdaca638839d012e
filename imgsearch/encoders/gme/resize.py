"""From pixels to the size that gme-Qwen2-VL sees.

A picture is resized twice, both times bicubic (Pillow): first to multiples of 28 close to its own
size, as the model's published code does before it calls the processor; then, by the rule of the
Qwen2-VL processor (Wang et al., 2024, arXiv:2409.12191, section 2.1), into the range of visual
tokens that was asked for. The first one changes the aspect by a few pixels, so leaving it out
changes vectors, but only of some sizes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from imgsearch.vectors import Pixels

SQUARE = 28
"""Side in pixels of what becomes one visual token: 2 x 2 patches of 14 x 14."""

FIRST_TOKENS = (4, 16384)
MAX_ASPECT = 200
FILTER = Image.Resampling.BICUBIC


@dataclass(frozen=True, slots=True)
class VisualTokens:
    """How many visual tokens a picture may become, at least and at most.

    More tokens see more detail and cost time in proportion. The published setting is 256 to 1280.
    """

    least: int = 256
    most: int = 1280

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.most:
            raise ValueError(f"visual tokens must be 1 <= least <= most, not {self}")


def fit(width: int, height: int, tokens: VisualTokens) -> tuple[int, int]:
    """Width and height in multiples of 28, within `tokens`, close to the given aspect.

    Rounds half to even, then shrinks (rounding down) or grows (rounding up) into the range.
    """
    w, h = (max(SQUARE, round(side / SQUARE) * SQUARE) for side in (width, height))
    least, most = (count * SQUARE**2 for count in (tokens.least, tokens.most))
    if w * h > most:
        scale = math.sqrt(width * height / most)
        w, h = (max(SQUARE, _down(side / scale)) for side in (width, height))
    elif w * h < least:
        scale = math.sqrt(least / (width * height))
        w, h = (math.ceil(side * scale / SQUARE) * SQUARE for side in (width, height))
    return w, h


def first_size(width: int, height: int) -> tuple[int, int]:
    """The size after the first resize: at least 4 squares, at most 16384, aspect at most 200."""
    w, h = fit(width, height, VisualTokens(*FIRST_TOKENS))
    return min(w, h * MAX_ASPECT), min(h, w * MAX_ASPECT)


def final_size(width: int, height: int, tokens: VisualTokens) -> tuple[int, int]:
    """The size of the model's input for a picture of this size."""
    return fit(*first_size(width, height), tokens)


def count_tokens(width: int, height: int, tokens: VisualTokens) -> int:
    """How many visual tokens a picture of this size becomes."""
    w, h = final_size(width, height, tokens)
    return w * h // SQUARE**2


def resize(pixels: Pixels, tokens: VisualTokens) -> Pixels:
    """The model's input: ndarray of shape (height, width, 3), uint8, both a multiple of 28."""
    height, width = pixels.shape[:2]
    image = Image.fromarray(pixels)
    for size in (first_size(width, height), final_size(width, height, tokens)):
        if image.size != size:
            image = image.resize(size, FILTER)
    return np.array(image)  # a copy that may be written to, as torch.from_numpy wants it


def _down(side: float) -> int:
    return math.floor(side / SQUARE) * SQUARE
