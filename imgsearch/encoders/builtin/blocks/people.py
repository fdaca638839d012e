"""Block "people": people in a picture, from faces and bodies, and the words for them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from imgsearch.encoders.builtin import bodies, faces, people, weights
from imgsearch.encoders.builtin.blocks.halves import (
    Arrays,
    PictureHalf,
    SentenceOutput,
    TextHalf,
    VisionOutput,
)
from imgsearch.encoders.builtin.blocks.sights import with_absence

NAME = "people"
DIMENSIONS = 16  # ten kinds, "nobody", and five unused

_SIDE_PIXELS = 256  # pixels; faces are searched in a square of this side
_MIN_BODY_SCORE = 0.35  # pictures with a face score more (measured)


class PeoplePictures(PictureHalf):
    """Kinds of people; faces are searched only if there may be a body, which halves the time."""

    def __init__(self, arrays: Arrays, dtype: torch.dtype) -> None:
        super().__init__(arrays, dtype)
        # Always float32: thresholds should not depend on the machine.
        networks = weights.people_networks()
        for name, network in networks.items():
            self.add_module(name, network)
        self._bodies = networks["bodies"]
        self._cascade = faces.Cascade(
            **{k: networks[k] for k in ("first", "second", "third", "looks")}
        )

    def prepare(self, images: Sequence[Image.Image]) -> Tensor:
        """Pixels (n, 256, 256, 3), uint8."""
        return torch.from_numpy(np.stack([_in_square(image) for image in images]))

    def forward(self, output: VisionOutput) -> Tensor:
        # A channel after the other, which PyTorch resizes faster than interleaved ones.
        pixels = output.inputs[NAME].permute(0, 3, 1, 2).contiguous().float()
        scores = bodies.scores(self._bodies, pixels)
        rows = [self._kinds(*each) for each in zip(pixels, scores.tolist(), strict=True)]
        return with_absence(torch.from_numpy(np.stack(rows)).to(pixels.device), DIMENSIONS)

    def _kinds(self, pixels: Tensor, body: float) -> people.Floats:
        visible = faces.find(self._cascade, pixels) if body > _MIN_BODY_SCORE else people.NO_FACES
        return people.of_picture(visible, body)


class PeopleTexts(TextHalf):
    """The kinds of people that a text names."""

    def prepare(self, texts: Sequence[str]) -> Tensor:
        return torch.from_numpy(np.stack([people.of_text(text) for text in texts]))

    def forward(self, output: SentenceOutput) -> Tensor:
        rows = output.inputs[NAME]
        return torch.nn.functional.pad(rows, (0, DIMENSIONS - rows.shape[1]))


def _in_square(image: Image.Image) -> np.ndarray:
    """The picture in the middle of a white square: (256, 256, 3), uint8."""
    scale = _SIDE_PIXELS / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    fitted = image.resize(size, Image.Resampling.BILINEAR)
    square = Image.new("RGB", (_SIDE_PIXELS, _SIDE_PIXELS), "white")
    square.paste(fitted, ((_SIDE_PIXELS - size[0]) // 2, (_SIDE_PIXELS - size[1]) // 2))
    return np.asarray(square)
