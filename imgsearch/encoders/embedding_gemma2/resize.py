"""Resizing of pictures to the input size of EmbeddingGemma 2.

One bicubic resize (Pillow) to the largest multiples of 48 that keep the aspect and the number of
visual tokens; small pictures are enlarged. This is the rule of the Gemma 4 processor.

Decoder processes resize, so this imports nothing heavier than Pillow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from PIL import Image

from imgsearch.encoders.preparation import middle, within_aspect

TOKEN_SIDE_PIXELS = 48
"""Side in pixels of one visual token: 3 x 3 patches of 16 x 16."""

TOKENS = 280
"""The published maximum number of visual tokens of a picture."""


@dataclass(frozen=True, slots=True)
class LargestFit:
    """The resize to visual tokens, as a `Preparation`."""

    tokens: int

    def decoded_size(self, width: int, height: int) -> tuple[int, int] | None:
        """The final size; None for a picture that is cropped first."""
        if within_aspect(width, height, self.tokens) != (width, height):
            return None
        return self.final_size(width, height)

    def final_size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the model's input, both multiples of 48.

        A size to which nothing can be added in both directions is final, although the rule would
        enlarge one side of some of them a second time.
        """
        if self._is_final(width, height):
            return width, height
        width, height = within_aspect(width, height, self.tokens)
        scale = math.sqrt(self.tokens / (width * height))
        w, h = (max(1, math.floor(side * scale)) for side in (width, height))
        return (
            min(w, self.tokens // h) * TOKEN_SIDE_PIXELS,
            min(h, self.tokens // w) * TOKEN_SIDE_PIXELS,
        )

    def apply(self, image: Image.Image) -> Image.Image:
        """The model's input. Applying it again changes nothing."""
        size = self.final_size(*image.size)
        if image.size == size:
            return image
        image = middle(image, *within_aspect(*image.size, self.tokens))
        return image.resize(size, Image.Resampling.BICUBIC)

    def _is_final(self, width: int, height: int) -> bool:
        if width % TOKEN_SIDE_PIXELS or height % TOKEN_SIDE_PIXELS:
            return False
        w, h = width // TOKEN_SIDE_PIXELS, height // TOKEN_SIDE_PIXELS
        return w * h <= self.tokens < (w + 1) * (h + 1)
