"""Block "sights": light, ground and composition (`builtin.scenes`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from imgsearch.encoders.builtin import scenes
from imgsearch.encoders.builtin.blocks.halves import (
    PictureHalf,
    SentenceOutput,
    TextHalf,
    VisionOutput,
)

NAME = "sights"
DIMENSIONS = 16  # twelve sights, "none of them", and three unused

_FULL_ROW = 4  # this many certain sights fill a row


class SightPictures(PictureHalf):
    def prepare(self, images: Sequence[Image.Image]) -> Tensor:
        return torch.from_numpy(np.stack([scenes.of_picture(image) for image in images]))

    def forward(self, output: VisionOutput) -> Tensor:
        return with_absence(output.inputs[NAME], DIMENSIONS)


class SightTexts(TextHalf):
    def prepare(self, texts: Sequence[str]) -> Tensor:
        return torch.from_numpy(np.stack([scenes.of_text(text) for text in texts]))

    def forward(self, output: SentenceOutput) -> Tensor:
        rows = output.inputs[NAME]
        rows = rows / rows.norm(dim=1, keepdim=True).clamp(min=1)
        return F.pad(rows, (0, DIMENSIONS - rows.shape[1]))


def with_absence(certainty: Tensor, dimensions: int) -> Tensor:
    """Rows of unit norm for things that may all be absent.

    Parameters
    ----------
    certainty : Tensor of shape (n, things), 0 to 1
        Each thing takes half of the norm, so its value does not depend on the others; only with
        more than four things does each take less.

    Returns
    -------
    Tensor of shape (n, dimensions)
        The things, the remaining norm for "nothing", which no text uses, and zeros.
    """
    rows = certainty / _FULL_ROW**0.5
    rows = rows / rows.norm(dim=1, keepdim=True).clamp(min=1)
    nothing = (1 - rows.square().sum(1, keepdim=True)).clamp(min=0).sqrt()
    rows = torch.cat([rows, nothing], dim=1)
    return F.normalize(F.pad(rows, (0, dimensions - rows.shape[1])), dim=1)
