"""The steps of transformers' image processors from a picture to a network's input, as data.

Decoder processes apply them, so this imports nothing heavier than NumPy and Pillow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from imgsearch.model_card import InputSize
from imgsearch.vectors import Pixels

MAX_ASPECT = 32
"""Maximum ratio of the longer to the shorter side. A longer picture is cropped to its middle:
a model that scales the shorter side to 224 pixels would turn a line of 20000 into gigabytes."""

BICUBIC = int(Image.Resampling.BICUBIC)


@dataclass(frozen=True, slots=True)
class FixedSize:
    """Resizes every picture to one size, as CLIP and SigLIP do.

    Attributes
    ----------
    width, height : int
        Size of the input in pixels.
    crops : bool
        True to scale the shorter side to a square's side and cut off both ends of the longer one,
        False to change the aspect.
    filter : int
        Pillow's number of the resampling filter.
    """

    width: int
    height: int
    crops: bool
    filter: int = BICUBIC

    def decoded_size(self, width: int, height: int) -> None:
        """None: the decoder follows `InputSize`."""

    def final_size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the input, the same for every picture."""
        return self.width, self.height

    def apply(self, image: Image.Image) -> Image.Image:
        """The picture in its final size."""
        if image.size == (self.width, self.height):
            return image
        image = middle(image, *within_aspect(*image.size))
        size = self._scaled(*image.size)
        if image.size != size:
            image = image.resize(size, Image.Resampling(self.filter))
        return middle(image, self.width, self.height)

    def _scaled(self, width: int, height: int) -> tuple[int, int]:
        """Width and height before the crop; the longer side is rounded down."""
        if not self.crops:
            return self.width, self.height
        shorter = min(width, height)
        return int(self.width * width / shorter), int(self.height * height / shorter)


def prepared(pixels: Pixels, size: InputSize) -> Pixels:
    """A picture as the decoder processes deliver it, which have prepared most of them.

    Without a preparation it is the part of the picture that counts; see `within_aspect`.
    """
    steps, (rows, columns) = size.preparation, pixels.shape[:2]
    if steps is None:
        width, height = within_aspect(columns, rows)
        top, left = (rows - height) // 2, (columns - width) // 2
        return pixels[top : top + height, left : left + width]
    if steps.final_size(columns, rows) == (columns, rows):
        return pixels
    return np.asarray(steps.apply(Image.fromarray(pixels)))


def within_aspect(width: int, height: int, max_aspect: int = MAX_ASPECT) -> tuple[int, int]:
    """Width and height of the part of a picture that counts, of an aspect up to `max_aspect`."""
    longest = max_aspect * min(width, height)
    return min(width, longest), min(height, longest)


def middle(image: Image.Image, width: int, height: int) -> Image.Image:
    """The middle of a picture that is at least that large."""
    if image.size == (width, height):
        return image
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def fixed_size(processor: Any) -> FixedSize | None:
    """The steps of an image processor of transformers, or None if they are others.

    A processor that crops less than it resizes to has no such steps: a picture of the final size
    could be one that is prepared, or one that is not.
    """
    if not _is_plain(processor) or not processor.do_resize or getattr(processor, "do_pad", False):
        return None
    size, crop = (_edges(getattr(processor, name, None)) for name in ("size", "crop_size"))
    crops = bool(getattr(processor, "do_center_crop", False))
    target = size
    if size.keys() == {"shortest_edge"}:
        target = dict.fromkeys(("height", "width"), size["shortest_edge"])
    elif size.keys() != {"height", "width"}:
        return None
    if crops != (target != size) or (crops and crop != target):
        return None
    filter_number = Image.Resampling.BILINEAR if processor.resample is None else processor.resample
    return FixedSize(target["width"], target["height"], crops, int(filter_number))


def _is_plain(processor: Any) -> bool:
    """True if the processor resizes and crops by the common code of transformers over Pillow."""
    from transformers.image_processing_backends import PilBackend

    stages = ("preprocess", "_preprocess", "process_image", "resize", "center_crop")
    return isinstance(processor, PilBackend) and all(
        getattr(type(processor), stage) is getattr(PilBackend, stage) for stage in stages
    )


def _edges(size: Any) -> dict[str, int]:
    """The edges of a size that are set."""
    return {edge: pixels for edge, pixels in dict(size or {}).items() if pixels}
