"""Block "colour": eleven colour terms, seen in a picture or named in a text (`builtin.colour`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from imgsearch.encoders.builtin import colour
from imgsearch.encoders.builtin.blocks.halves import PictureHalf, Said, Seen, TextHalf

NAME = "colour"
DIMENSIONS = 16  # eleven are used
_EVEN = len(colour.TERMS) ** -0.5  # what `colour.of_picture` says where all are equal


class ColourPictures(PictureHalf):
    """How much of each colour a picture has, less equal parts of all."""

    def prepare(self, images: Sequence[Image.Image]) -> Tensor:
        return torch.from_numpy(np.stack([colour.of_picture(image) for image in images]))

    def forward(self, seen: Seen) -> Tensor:
        return _filled(seen.read[NAME] - _EVEN)


class ColourTexts(TextHalf):
    """1 for each colour that a text names."""

    def prepare(self, texts: Sequence[str]) -> Tensor:
        return torch.from_numpy(np.stack([colour.of_text(text) for text in texts]))

    def forward(self, said: Said) -> Tensor:
        return _filled(said.read[NAME])


def _filled(rows: Tensor) -> Tensor:
    return F.pad(F.normalize(rows, dim=1), (0, DIMENSIONS - rows.shape[1]))
