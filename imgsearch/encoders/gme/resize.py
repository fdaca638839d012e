"""Resizing of pictures to the input size of gme-Qwen2-VL.

A picture is resized twice with a bicubic filter (Pillow): first to multiples of 28 close to its own
size, as the model's published code does before it calls the processor; then into the configured
range of visual tokens, by the rule of the Qwen2-VL processor (Wang et al., 2024, arXiv:2409.12191,
section 2.1). The first resize changes the aspect by a few pixels, so omitting it would change the
vectors of some sizes.

Decoder processes resize, so this imports nothing heavier than NumPy and Pillow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from imgsearch.vectors import Pixels

TOKEN_SIDE_PIXELS = 28
"""Side in pixels of one visual token: 2 x 2 patches of 14 x 14."""

TOKEN_BOUNDS = (4, 16384)
MIN_SHRINKING = 2
MAX_ASPECT = 200
FILTER = Image.Resampling.BICUBIC


@dataclass(frozen=True, slots=True)
class VisualTokens:
    """The minimum and maximum number of visual tokens of a picture.

    More tokens show more detail and take proportionally more time. The published setting is 256 to
    1280.
    """

    minimum: int = 256
    maximum: int = 1280

    @classmethod
    def up_to(cls, maximum: int) -> VisualTokens:
        """The range with that maximum; 0 is the published one. The minimum is a fifth of it, as
        published, and at most 256."""
        return cls(min(256, maximum // 5), maximum) if maximum else cls()

    def __post_init__(self) -> None:
        if not 1 <= self.minimum <= self.maximum:
            raise ValueError(f"visual tokens must be 1 <= minimum <= maximum, not {self}")


def fit(
    width: int, height: int, tokens: VisualTokens, token_side: int = TOKEN_SIDE_PIXELS
) -> tuple[int, int]:
    """Width and height in multiples of a token's side, within `tokens`, close to the aspect of the
    picture.

    Rounds half to even, then shrinks (rounding down) or grows (rounding up) into the range.
    """
    w, h = (max(token_side, round(side / token_side) * token_side) for side in (width, height))
    smallest, largest = (n * token_side**2 for n in (tokens.minimum, tokens.maximum))
    if w * h > largest:
        scale = math.sqrt(width * height / largest)
        w, h = (
            max(token_side, math.floor(side / scale / token_side) * token_side)
            for side in (width, height)
        )
    elif w * h < smallest:
        scale = math.sqrt(smallest / (width * height))
        w, h = (math.ceil(side * scale / token_side) * token_side for side in (width, height))
    return w, h


def first_size(width: int, height: int) -> tuple[int, int]:
    """The size after the first resize: at least 4 squares, at most 16384, aspect at most 200."""
    w, h = fit(width, height, VisualTokens(*TOKEN_BOUNDS))
    return min(w, h * MAX_ASPECT), min(h, w * MAX_ASPECT)


def final_size(width: int, height: int, tokens: VisualTokens) -> tuple[int, int]:
    """The size at which a picture of this size enters the model."""
    return fit(*first_size(width, height), tokens)


def count_tokens(width: int, height: int, tokens: VisualTokens) -> int:
    """The number of visual tokens of a picture of this size."""
    w, h = final_size(width, height, tokens)
    return w * h // TOKEN_SIDE_PIXELS**2


@dataclass(frozen=True, slots=True)
class SquareSteps:
    """Both resizes, as a `Preparation`."""

    tokens: VisualTokens

    def decoded_size(self, width: int, height: int) -> tuple[int, int]:
        """The size after the first resize, or the final one if the picture is much larger.

        The first resize imitates a rounding at full size. If both sides shrink to a half or less,
        it blurs by a fraction of one pixel of the input, at the cost of resizing the whole picture;
        and a JPEG of that size is decoded smaller.
        """
        final = self.final_size(width, height)
        shrinks = MIN_SHRINKING * final[0] <= width and MIN_SHRINKING * final[1] <= height
        return final if shrinks else first_size(width, height)

    def final_size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the model's input, both multiples of 28."""
        return final_size(width, height, self.tokens)

    def apply(self, image: Image.Image) -> Image.Image:
        """The model's input. Applying it again changes nothing up to an aspect of 100."""
        for size in (first_size(*image.size), self.final_size(*image.size)):
            if image.size != size:
                image = image.resize(size, FILTER)
        return image


def resize(pixels: Pixels, tokens: VisualTokens) -> Pixels:
    """The model's input: ndarray of shape (height, width, 3), uint8, both a multiple of 28."""
    height, width = pixels.shape[:2]
    if final_size(width, height, tokens) == (width, height):
        return pixels
    return np.asarray(SquareSteps(tokens).apply(Image.fromarray(pixels)))
