"""The inputs of the golden vectors, made from formulas: no file, no random generator."""

from __future__ import annotations

import numpy as np

SEARCH = "Find images that visually match this description:"

TEXTS = (
    "a red car on the beach",
    "",
    "two dogs\nin the snow",
    "山の上の日没と青い車 🐕",
    "  spaces   around, punctuation; and 1234567 digits!  ",
    "word " * 2000,  # longer than the model takes: cut off at 1800 tokens, tail included
)

SIZES = (
    (448, 448),
    (640, 480),
    (333, 517),
    (350, 630),  # both sides lie half-way between multiples of 28
    (20, 20),  # below the smallest area of the first resize
    (1, 6000),  # beyond the largest aspect ratio
    (1500, 1100),  # more than 1280 visual tokens
)
"""Width and height of the pictures, pixels."""

PAIRS = (("a red car on the beach", 1), ("山", 3), ("", 0))
"""A text with the number of a picture in `SIZES`."""


def picture(width: int, height: int) -> np.ndarray:
    """A picture with edges, slopes and fine texture, of shape (height, width, 3), uint8."""
    y, x = np.mgrid[:height, :width].astype(np.int64)
    red = (x * 255 // max(width - 1, 1) + (y // 9 % 2) * 90) % 256
    green = (x * x // 61 + y * 3) % 256
    blue = ((x // 5 + y // 7) % 2) * 200 + (x * 7 + y * 13) % 55
    return np.stack([red, green, blue], axis=-1).astype(np.uint8)
