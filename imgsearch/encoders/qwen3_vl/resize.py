"""Resizing of pictures to the input size of Qwen3-VL-Embedding.

One bicubic resize (Pillow) to multiples of 32 within the range of visual tokens, by the rule of the
Qwen2-VL processor with larger patches. The published code refuses an aspect above 200; here such a
picture is cropped to its middle.

Decoder processes resize, so this imports nothing heavier than NumPy and Pillow.
"""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from imgsearch.encoders.gme.resize import FILTER, MAX_ASPECT, VisualTokens, fit
from imgsearch.encoders.preparation import middle, within_aspect

TOKEN_SIDE_PIXELS = 32
"""Side in pixels of one visual token: 2 x 2 patches of 16 x 16."""

MIN_TOKENS = 4
MAX_TOKENS = 1800
"""The published range of visual tokens: 4096 to 1843200 pixels."""


@dataclass(frozen=True, slots=True)
class OneResize:
    """The resize to visual tokens, as a `Preparation`."""

    tokens: VisualTokens

    def decoded_size(self, width: int, height: int) -> tuple[int, int] | None:
        """The final size; None for a picture that is cropped first."""
        if within_aspect(width, height, MAX_ASPECT) != (width, height):
            return None
        return self.final_size(width, height)

    def final_size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the model's input, both multiples of 32.

        A reduced maximum can be too small for the shorter side of a long picture, which keeps one
        token; then the longer side is squeezed.
        """
        if fit(width, height, self.tokens, TOKEN_SIDE_PIXELS) == (width, height):
            return width, height
        size = fit(*within_aspect(width, height, MAX_ASPECT), self.tokens, TOKEN_SIDE_PIXELS)
        w, h = (side // TOKEN_SIDE_PIXELS for side in size)
        longest = max(1, self.tokens.maximum // min(w, h))
        return min(w, longest) * TOKEN_SIDE_PIXELS, min(h, longest) * TOKEN_SIDE_PIXELS

    def apply(self, image: Image.Image) -> Image.Image:
        """The model's input. Applying it again changes nothing."""
        size = self.final_size(*image.size)
        if image.size == size:
            return image
        image = middle(image, *within_aspect(*image.size, MAX_ASPECT))
        return image.resize(size, FILTER)
