"""The inputs of the golden vectors; pictures are made by formulas, as for gme."""

from __future__ import annotations

TEXTS = (
    "a red car on the beach",
    "x",
    "two dogs\nin the snow",
    "山の上の日没と青い車 🐕",
    "  spaces   around, punctuation; and 1234567 digits!  ",
    "word " * 300,
)

SIZES = (
    (480, 480),
    (640, 480),
    (333, 517),
    (1388, 465),  # the rule would enlarge its result once more
    (20, 20),
    (3000, 60),
    (1700, 1300),
)
"""Width and height of the pictures, pixels."""

PAIRS = (("a red car on the beach", 0), ("山", 2))
"""A text with the number of a picture in `SIZES`."""
