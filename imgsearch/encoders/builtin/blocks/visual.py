"""Block "visual": how similar two pictures look to the network. Texts do not use it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from imgsearch.encoders.builtin.blocks.halves import Arrays, PictureHalf, VisionOutput, register


class VisualPictures(PictureHalf):
    """Features projected on the directions in which the classifier's weights differ most.

    Combines the mean of the feature map, which shows what fills a picture, with its maximum, which
    changes less with a crop or a margin.
    """

    visual_basis: Tensor

    def __init__(self, arrays: Arrays, dtype: torch.dtype) -> None:
        super().__init__(arrays, dtype)
        register(self, "visual_basis", arrays["visual_basis"])

    def forward(self, output: VisionOutput) -> Tensor:
        peaks = output.maps.amax((2, 3))
        parts = [F.normalize(x @ self.visual_basis, dim=1) for x in (output.features, peaks)]
        return F.normalize(parts[0] + parts[1], dim=1)
