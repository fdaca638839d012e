"""Colour terms of pictures and of texts."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from imgsearch.encoders.builtin import colour

TERMS = list(colour.TERMS)


@pytest.mark.parametrize("term", TERMS)
def test_a_plain_picture_is_mostly_of_its_colour(term):
    row = colour.of_picture(Image.new("RGB", (30, 20), colour.TERMS[term]))
    assert TERMS[int(row.argmax())] == term
    assert row.dtype == np.float32
    assert row @ row == pytest.approx(1, abs=1e-5)


def test_the_middle_counts_more_than_the_edges():
    image = Image.new("RGB", (90, 90), colour.TERMS["blue"])
    image.paste(colour.TERMS["red"], (15, 15, 75, 75))  # 44 per cent of the area
    row = colour.of_picture(image)
    assert row[TERMS.index("red")] > row[TERMS.index("blue")]


@pytest.mark.parametrize(
    "rgb", [(0, 0, 0), (255, 255, 255), (0, 0, 255), (0, 255, 0), (255, 0, 255)]
)
def test_colours_far_from_every_term_are_still_some_colour(rgb):
    row = colour.of_picture(Image.new("RGB", (5, 5), rgb))
    assert np.isfinite(row).all()
    assert row @ row == pytest.approx(1, abs=1e-5)


def test_lab_of_known_colours():
    """CIE L*a*b* (D65) of sRGB primaries, to the digit that tables print."""
    lab = colour.lab(np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)], np.uint8))
    known = [(53.24, 80.09, 67.20), (87.73, -86.18, 83.18), (32.30, 79.19, -107.86), (100, 0, 0)]
    assert np.allclose(lab, known, atol=0.1)


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("A red car, and a Navy boat", {"red", "blue"}),
        ("gray-haired", {"grey"}),
        ("scarred and greenish, redwood", set()),
        ("", set()),
    ],
)
def test_words_of_a_text(text, terms):
    row = colour.of_text(text)
    assert {TERMS[i] for i in np.flatnonzero(row)} == terms
