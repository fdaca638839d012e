"""The inputs of the golden vectors; pictures are made by formulas, as for gme."""

from __future__ import annotations

SEARCH = "Retrieve images or text relevant to the user's query."

TEXTS = (
    "a red car on the beach",
    "",
    "two dogs\nin the snow",
    "山の上の日没と青い車 🐕",
    "  spaces   around, punctuation; and 1234567 digits!  ",
    "word " * 300,
)

SIZES = (
    (448, 448),
    (640, 480),
    (333, 517),
    (336, 624),  # both sides lie half-way between multiples of 32
    (20, 20),  # below four visual tokens
    (30, 6000),  # the largest aspect ratio that the published code takes
    (1700, 1300),  # more than 1800 visual tokens
)
"""Width and height of the pictures, pixels."""

PAIRS = (("a red car on the beach", 1), ("山", 3), ("", 0))
"""A text with the number of a picture in `SIZES`."""
