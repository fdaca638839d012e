"""Block "colour": eleven colour terms, in a picture or in a text (`builtin.colour`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from imgsearch.encoders.builtin import colour
from imgsearch.encoders.builtin.blocks.halves import (
    PictureHalf,
    SentenceOutput,
    TextHalf,
    VisionOutput,
)

NAME = "colour"
DIMENSIONS = 16  # eleven are used
_EVEN = len(colour.TERMS) ** -0.5  # values of `colour.of_picture` if all shares are equal


class ColourPictures(PictureHalf):
    """The share of each colour in a picture, relative to equal shares."""

    def prepare(self, images: Sequence[Image.Image]) -> Tensor:
        return torch.from_numpy(np.stack([colour.of_picture(image) for image in images]))

    def forward(self, output: VisionOutput) -> Tensor:
        return _unit_rows(output.inputs[NAME] - _EVEN)


class ColourTexts(TextHalf):
    """1 for each colour that a text names."""

    def prepare(self, texts: Sequence[str]) -> Tensor:
        return torch.from_numpy(np.stack([colour.of_text(text) for text in texts]))

    def forward(self, output: SentenceOutput) -> Tensor:
        return _unit_rows(output.inputs[NAME])


def _unit_rows(rows: Tensor) -> Tensor:
    return F.pad(F.normalize(rows, dim=1), (0, DIMENSIONS - rows.shape[1]))
