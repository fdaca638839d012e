"""Ratings as programs write them: stars, or the percentages of Windows."""

from __future__ import annotations

import math

MAX_STARS = 5


def from_stars(value: float) -> int | None:
    """-1 (rejected) to 5; None for 0, which is "not rated", and for values out of range."""
    if not math.isfinite(value) or not -1 <= value <= MAX_STARS:
        return None
    return math.trunc(value) or None


def from_percent(value: float) -> int | None:
    """1 to 5 from 1, 25, 50, 75 and 99, which Windows writes; None for 0 and above 100."""
    if not math.isfinite(value) or not 1 <= value <= 100:
        return None
    return min(MAX_STARS, 1 + int(value + 12) // 25)
