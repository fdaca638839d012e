"""Chooses the frame of an animation, or the page of a document, that stands for the file.

It is the first, unless that is empty (black, white, clear or any other single colour) and a later
one shows something.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

from PIL import Image

MAX_FRAMES = 64
"""Maximum number of frames to look at."""

_MAX_EMPTY_LEVELS = 32  # between the darkest and the brightest value of a channel


@dataclass(frozen=True, slots=True)
class Frame:
    """A decoded frame: an RGB image, and `width` and `height` of the full frame, upright.

    `measured` is a larger image to take measures of, where `image` is too small.
    """

    image: Image.Image
    width: int
    height: int
    measured: Image.Image | None = None

    @property
    def is_empty(self) -> bool:
        """True if all of it is of one colour."""
        extrema = cast("tuple[tuple[int, int], ...]", self.image.getextrema())
        return all(high - low <= _MAX_EMPTY_LEVELS for low, high in extrema)


def first_with_content(image: Image.Image, read: Callable[[], Frame], max_pixels: int) -> Frame:
    """The first frame of `image` that is not empty, as `read` decodes the current one.

    Together, the frames may have as many pixels as one picture. If all of them are empty, or a
    later one cannot be read, it is the first one.
    """
    first = read()
    try:
        if _has_more(image) and first.is_empty:
            # An image that needed no conversion is `image` itself, which goes on to other frames.
            larger = first.measured and first.measured.copy()
            first = replace(first, image=first.image.copy(), measured=larger)
            return _next_with_content(image, read, max_pixels) or first
    except Exception:  # decoders raise nearly anything, and there is a picture already
        return first
    return first


def _has_more(image: Image.Image) -> bool:
    return bool(getattr(image, "is_animated", False)) or len(_icon_sizes(image)) > 1


def _next_with_content(
    image: Image.Image, read: Callable[[], Frame], max_pixels: int
) -> Frame | None:
    budget = max_pixels - image.width * image.height
    for number in range(1, MAX_FRAMES):
        if not _select(image, number):
            return None
        budget -= image.width * image.height
        if budget < 0:
            return None
        frame = read()
        if not frame.is_empty:
            return frame
    return None


def _select(image: Image.Image, number: int) -> bool:
    """Go to a frame; False if there is none."""
    if sizes := _icon_sizes(image):
        if number < len(sizes):
            image.size = sizes[number]  # type: ignore[misc]
        return number < len(sizes)
    try:
        image.seek(number)
    except EOFError:
        return False
    return True


def _icon_sizes(image: Image.Image) -> list[tuple[int, int]]:
    """The sizes of the pictures in an icon file, the largest first; none for other files."""
    if image.format != "ICO":
        return []
    return sorted(image.info.get("sizes", ()), reverse=True)
