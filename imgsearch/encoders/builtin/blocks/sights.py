"""Block "sights": light, ground and composition (`builtin.scenes`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from imgsearch.encoders.builtin import scenes
from imgsearch.encoders.builtin.blocks.halves import PictureHalf, Said, Seen, TextHalf

NAME = "sights"
DIMENSIONS = 16  # twelve sights, "none of them", and three that are free

_AT_ONCE = 4  # so many sure sights fill a row


class SightPictures(PictureHalf):
    def prepare(self, images: Sequence[Image.Image]) -> Tensor:
        return torch.from_numpy(np.stack([scenes.of_picture(image) for image in images]))

    def forward(self, seen: Seen) -> Tensor:
        return beside_nothing(seen.read[NAME], DIMENSIONS)


class SightTexts(TextHalf):
    def prepare(self, texts: Sequence[str]) -> Tensor:
        return torch.from_numpy(np.stack([scenes.of_text(text) for text in texts]))

    def forward(self, said: Said) -> Tensor:
        rows = said.read[NAME]
        rows = rows / rows.norm(dim=1, keepdim=True).clamp(min=1)
        return F.pad(rows, (0, DIMENSIONS - rows.shape[1]))


def beside_nothing(sure: Tensor, dimensions: int) -> Tensor:
    """Rows of unit norm of things that may all be absent.

    Parameters
    ----------
    sure : Tensor of shape (n, things), 0 to 1
        Each counts half, so that one thing says the same whether or not another is there; only
        where there are more than four does each count less.

    Returns
    -------
    Tensor of shape (n, dimensions)
        The things, what is left for "nothing", which no text asks for, and zeros.
    """
    rows = sure / _AT_ONCE**0.5
    rows = rows / rows.norm(dim=1, keepdim=True).clamp(min=1)
    nothing = (1 - rows.square().sum(1, keepdim=True)).clamp(min=0).sqrt()
    rows = torch.cat([rows, nothing], dim=1)
    return F.normalize(F.pad(rows, (0, dimensions - rows.shape[1])), dim=1)
