"""Block "visual": how alike two pictures look to the network. No text has anything to say here."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from imgsearch.encoders.builtin.blocks.halves import Arrays, PictureHalf, Seen, keep


class VisualPictures(PictureHalf):
    """Features in the directions in which the classifier's weights differ most.

    Half the mean of the feature map, which tells what a picture is full of, and half its maximum,
    which a crop or a margin changes less.
    """

    visual_basis: Tensor

    def __init__(self, arrays: Arrays, dtype: torch.dtype) -> None:
        super().__init__(arrays, dtype)
        keep(self, "visual_basis", arrays["visual_basis"])

    def forward(self, seen: Seen) -> Tensor:
        peaks = seen.maps.amax((2, 3))
        parts = [F.normalize(x @ self.visual_basis, dim=1) for x in (seen.features, peaks)]
        return F.normalize(parts[0] + parts[1], dim=1)
