"""Colours of a picture and colour words of a text, in the same eleven terms.

The terms are the basic colour terms of English in Berlin & Kay, "Basic Color Terms", 1969. A
picture is described by the share of it that is near the typical colour of each term in CIE L*a*b*
(D65; conversion from sRGB after IEC 61966-2-1 and CIE 15); its middle counts more than its edges.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray
from PIL import Image

TERMS = {
    "black": (20, 20, 20),
    "white": (245, 245, 245),
    "grey": (128, 128, 128),
    "red": (200, 30, 35),
    "orange": (245, 135, 30),
    "yellow": (245, 220, 40),
    "green": (60, 150, 60),
    "blue": (45, 95, 190),
    "purple": (125, 50, 145),
    "pink": (245, 150, 185),
    "brown": (115, 75, 45),
}
"""Each term and its typical sRGB colour, 0 to 255."""

_SYNONYMS = {
    "gray": "grey",
    "silver": "grey",
    "golden": "yellow",
    "gold": "yellow",
    "violet": "purple",
    "dark": "black",
    "scarlet": "red",
    "crimson": "red",
    "navy": "blue",
    "turquoise": "blue",
    "beige": "brown",
    "blonde": "yellow",
}
_INDEX = {name: i for i, name in enumerate(TERMS)}
_INDEX |= {word: _INDEX[name] for word, name in _SYNONYMS.items()}

_SIDE_PIXELS = 48  # pixels to which a picture is reduced: colour needs no detail
_BANDWIDTH = 18.0  # in L*a*b*: the distance from its typical colour at which a term still applies
_LIGHTNESS_WEIGHT = 0.5  # light and shade change L*, but not the name of a colour
_FOCUS_SIDES = 0.28  # standard deviation of the weight around the middle, in sides
_WHITE_POINT = np.array([0.9505, 1.0, 1.089], np.float32)
_TO_XYZ = np.array(
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]], np.float32
)


def of_picture(image: Image.Image) -> NDArray[np.float32]:
    """The amount of each colour term in an RGB picture.

    Returns
    -------
    ndarray of shape (11,), float32, unit L2 norm
        Square roots of shares that sum to 1, so the inner product of two such rows is the
        Bhattacharyya coefficient of their histograms.
    """
    small = image.resize((_SIDE_PIXELS, _SIDE_PIXELS), Image.Resampling.BILINEAR)
    shares = _FOCUS_WEIGHTS @ _memberships(np.asarray(small).reshape(-1, 3))
    return np.asarray(np.sqrt(shares), np.float32)


def of_text(text: str) -> NDArray[np.float32]:
    """1 for each colour term that a text names, else 0: (11,), float32."""
    row = np.zeros(len(TERMS), np.float32)
    for word in re.findall("[a-z]+", text.lower()):
        if word in _INDEX:
            row[_INDEX[word]] = 1.0
    return row


def _memberships(colours: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Membership of n sRGB colours in each term: (n, 11), rows sum to 1."""
    points = lab(colours)
    light, a, b = (np.subtract.outer(points[:, i], _TYPICAL[:, i]) ** 2 for i in range(3))
    distance = light * _LIGHTNESS_WEIGHT + a + b
    # Put the nearest term at distance 0: a colour far from all terms belongs to the nearest.
    distance -= distance.min(axis=1, keepdims=True)
    weights = np.exp(distance / (-2 * _BANDWIDTH**2))
    shares: NDArray[np.float32] = weights / weights.sum(axis=1, keepdims=True)
    return shares


def lab(srgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Convert sRGB, 0 to 255, to CIE L*a*b*, float32; both of shape (..., 3)."""
    xyz = _LINEAR[srgb] @ _TO_XYZ.T / _WHITE_POINT
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1).astype(np.float32)


def _linear() -> NDArray[np.float32]:
    """The linear intensity, 0 to 1, of each sRGB value."""
    c = np.arange(256, dtype=np.float32) / np.float32(255)
    return np.where(c > 0.04045, ((c + 0.055) / 1.055) ** 2.4, c / 12.92)


def _focus_weights() -> NDArray[np.float32]:
    line = np.linspace(-0.5, 0.5, _SIDE_PIXELS)
    bell = np.exp(-(line**2) / (2 * _FOCUS_SIDES**2))
    weights = np.outer(bell, bell).ravel()
    return np.asarray(weights / weights.sum(), np.float32)


_LINEAR = _linear()
_TYPICAL = lab(np.array(list(TERMS.values()), np.uint8))
_FOCUS_WEIGHTS = _focus_weights()
