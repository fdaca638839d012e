"""Light, ground and composition, from the colours of a picture and their positions.

Each sight of `SIGHTS` is a rule that returns a certainty from 0 to 1 for a picture reduced to
64 x 64 points in CIE L*a*b*, and a pattern for the words that ask for it. Nothing was learnt: the
rules state what the words mean, and ramps between two thresholds keep the effect of a small change
small.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imgsearch.encoders.builtin import colour

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

_SIDE_PIXELS = 64
_BORDER_PIXELS = 3  # points of 64 at each edge: the background of most pictures


class Points:
    """A picture as 64 x 64 points; arrays have rows from the top, then columns."""

    def __init__(self, image: Image.Image) -> None:
        small = image.convert("RGB").resize((_SIDE_PIXELS, _SIDE_PIXELS), Image.Resampling.BOX)
        lab = colour.lab(np.asarray(small))
        self.light, self.a, self.b = lab[..., 0], lab[..., 1], lab[..., 2]

    @cached_property
    def chroma(self) -> Floats:
        return np.asarray(np.hypot(self.a, self.b), np.float32)

    @cached_property
    def hue(self) -> Floats:
        """Degrees, 0 to 360: red near 30, yellow near 100, green near 140, blue near 280."""
        return np.asarray(np.degrees(np.arctan2(self.b, self.a)) % 360, np.float32)

    @cached_property
    def edge(self) -> Mask:
        mask = np.ones((_SIDE_PIXELS, _SIDE_PIXELS), bool)
        mask[_BORDER_PIXELS:-_BORDER_PIXELS, _BORDER_PIXELS:-_BORDER_PIXELS] = False
        return mask

    @cached_property
    def on_white(self) -> float:
        """Certainty of a plain white background, as on a scan or in a catalogue."""
        return ramp(_share(self.light > 96, self.edge), 0.6, 0.9)

    def hued(self, low: float, high: float, chroma: float) -> Mask:
        """Points with a hue between two angles and at least this chroma."""
        mask: Mask = (self.hue >= low) & (self.hue <= high) & (self.chroma >= chroma)
        return mask


def ramp(value: float, low: float, high: float) -> float:
    """0 up to `low`, 1 from `high`, linear between them; `low` may be the larger."""
    return float(np.clip((value - low) / (high - low), 0, 1))


def _share(mask: Mask, where: Mask | slice = np.s_[:]) -> float:
    return float(mask[where].mean())


_TOP, _BOTTOM = np.s_[: _SIDE_PIXELS // 3], np.s_[_SIDE_PIXELS // 2 :]


def _monochrome(p: Points) -> float:
    return ramp(float(np.percentile(p.chroma, 97)), 9, 4)


def _sepia(p: Points) -> float:
    tint = np.array([p.a.mean(), p.b.mean()])
    strength = float(np.hypot(*tint))
    spread = float(np.hypot(p.a.std(), p.b.std()))
    warm = tint[1] > 0 and tint[1] > abs(tint[0])
    return ramp(strength, 3, 7) * ramp(spread, 6, 3.5) * float(warm)


def _night(p: Points) -> float:
    whole, above = float(np.median(p.light)), float(np.median(p.light[_TOP]))
    return ramp(whole, 40, 18) * ramp(above, 45, 20) * (1 - p.on_white)


def _lights(p: Points) -> float:
    return _night(p) * ramp(_share(p.light > 60), 0.002, 0.02)


def _sunset(p: Points) -> float:
    """A sky between purple, red and yellow above a darker ground."""
    sky, ground = np.s_[: 2 * _SIDE_PIXELS // 3], np.s_[2 * _SIDE_PIXELS // 3 :]
    warm = (p.hue > 300) | (p.hue < 95)
    glow = _share(warm & (p.chroma > 12) & (p.light > 12), sky)
    darker = float(p.light[sky].mean() - p.light[ground].mean())
    return ramp(glow, 0.2, 0.6) * ramp(darker, 2, 15) * ramp(float(p.light[ground].mean()), 45, 25)


def _blue_sky(p: Points) -> float:
    return ramp(_share(p.hued(215, 300, 10) & (p.light > 35), _TOP), 0.35, 0.8)


def _green(p: Points) -> float:
    return ramp(_share(p.hued(95, 165, 10)), 0.25, 0.7)


def _grass(p: Points) -> float:
    return ramp(_share(p.hued(95, 165, 14) & (p.light > 25), _BOTTOM), 0.4, 0.9)


def _snow(p: Points) -> float:
    # Snow in the shade under a blue sky is blue.
    white = (p.light > 72) & (p.chroma < 8) | (p.light > 55) & p.hued(220, 300, 4) & (p.chroma < 22)
    return ramp(_share(white, np.s_[_SIDE_PIXELS // 3 :]), 0.3, 0.7) * (1 - p.on_white)


def _sand(p: Points) -> float:
    tan = p.hued(55, 100, 8) & (p.light > 45) & (p.light < 92) & (p.chroma < 45)
    return ramp(_share(tan, _BOTTOM), 0.4, 0.85)


def _white_background(p: Points) -> float:
    return p.on_white


def _black_background(p: Points) -> float:
    return ramp(_share(p.light < 14, p.edge), 0.6, 0.9)


@dataclass(frozen=True)
class Sight:
    """A rule about colours, and a pattern of the words for it, matched in lower case."""

    rule: Callable[[Points], float]
    words: str


def _background(colours: str) -> str:
    """A pattern that matches "on white", "against a black background", not "on a white horse"."""
    end = rf"(?:{colours})(?: background|(?=$|,))"
    return rf"(?:on|against) (?:a )?(?:plain )?{end}|(?:{colours}) background"


_PHOTO = "(?:photo|photograph|picture|image|print|shot|portrait|film)s?"
SIGHTS = {
    "monochrome": Sight(
        _monochrome,
        rf"black[- ]and[- ]white {_PHOTO}|in black[- ]and[- ]white|(?<=, )black[- ]and[- ]white$"
        r"|^black[- ]and[- ]white$|monochrome|gr[ae]yscale",
    ),
    "sepia": Sight(_sepia, rf"sepia|(?:old|vintage|antique|historic\w*) {_PHOTO}"),
    "night": Sight(
        _night,
        rf"nights?|night-?time|midnight|nocturnal|starry|milky way|moonlight|moonlit|in the dark"
        rf"|dark {_PHOTO}|dark (?:room|scene|sky|cave|street|forest|night)",
    ),
    "lights": Sight(
        _lights,
        r"at night|by night|night lights|city lights|neon|illuminat\w+|lit up|floodlit|fireworks?"
        r"|lanterns?|glowing|lit \w+",
    ),
    "sunset": Sight(
        _sunset,
        r"sunsets?|sunrises?|sundown|dusk|dawn|twilight|(?:evening|morning) (?:light|sky|sun)"
        r"|golden hour|red sky|orange sky|afterglow|setting sun|rising sun",
    ),
    "blue sky": Sight(_blue_sky, r"blue sk(?:y|ies)|clear sk(?:y|ies)|cloudless"),
    "green": Sight(_green, r"forests?|woods?|woodland|jungle|greenery|foliage|leaves|bushes|trees"),
    "grass": Sight(
        _grass,
        r"grass|grassy|lawns?|meadows?|pastures?|green (?:fields?|hills?|landscape)",
    ),
    "snow": Sight(_snow, r"snow|snowy|snow-covered|winter|wintry|ice|icy|glaciers?|frost|frozen"),
    "sand": Sight(_sand, r"sand|sandy|deserts?|dunes?|beach(?:es)?|arid"),
    "white background": Sight(_white_background, _background("white")),
    "black background": Sight(_black_background, _background("black|dark")),
}
"""The sights, in the order of the dimensions of the block."""

_PATTERNS = [re.compile(rf"(?<!\w)(?:{sight.words})(?!\w)") for sight in SIGHTS.values()]


def of_picture(image: Image.Image) -> Floats:
    """The certainty of each sight in an RGB picture: (12,), float32, 0 to 1."""
    points = Points(image)
    return np.array([sight.rule(points) for sight in SIGHTS.values()], np.float32)


def of_text(text: str) -> Floats:
    """1 for each sight that a text names, else 0: (12,), float32."""
    lower = text.lower()
    return np.array([pattern.search(lower) is not None for pattern in _PATTERNS], np.float32)
